"""What the flag server answers at `/`."""

from typing import Any

from brownout.flags.callers import CallerSettings
from brownout.flags.front import described
from brownout.flags.settings import Settings
from flags.builders import NAMESPACE, policy
from flags.hosted import hosted


def test_a_program_is_told_what_is_served_where() -> None:
    with hosted(policy("chat"), grpc_port=8015) as server:
        status, body, headers = server.ask("/")
        assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        (product,) = body["namespaces"]
        assert product == {
            "namespace": NAMESPACE,
            "ofrep": f"/{NAMESPACE}/",
            "flags": f"/{NAMESPACE}/ofrep/v1/evaluate/flags",
            "status": f"/{NAMESPACE}/status",
        }
        assert (body["openapi"], body["flagdSyncPort"]) == ("/openapi.json", 8015)
        assert server.ask("/", headers={"If-None-Match": headers["ETag"]})[0] == 304
        for address in (product["status"], body["openapi"], body["readiness"]):
            assert server.ask(address)[0] == 200
        assert server.ask(product["flags"], {"context": {"targetingKey": "u"}})[0] == 200


def test_a_person_gets_a_page_with_links() -> None:
    with hosted(policy("chat")) as server:
        _, page, headers = server.ask("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert f'<a href="{NAMESPACE}/status">' in page
        assert '<a href="openapi.json">' in page
        assert f"<code>/{NAMESPACE}/</code>" in page


def test_before_anything_is_known_it_says_how_addresses_look() -> None:
    assert _namespaces(Settings()) == ["{namespace}"]


def test_strangers_are_not_told_the_namespaces_of_others() -> None:
    assert _namespaces(Settings(callers=CallerSettings(trust_context=False)), "media", "games") == ["{namespace}"]
    assert _namespaces(Settings(), "media", "games") == ["media", "games"]


def test_addresses_are_those_by_which_clients_reach_it_and_none_is_told_of_what_is_off() -> None:
    (product,) = described(
        Settings(public_url="https://flags.example.com/v2/", status_page=False), ["media"]
    ).namespaces
    assert (product.ofrep, product.status) == ("https://flags.example.com/v2/media/", None)


def _namespaces(settings: Settings, *served: str) -> list[Any]:
    return [one.namespace for one in described(settings, served).namespaces]
