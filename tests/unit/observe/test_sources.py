"""What a pool's Secret says of its Prometheus."""

from base64 import b64encode

import pytest

from brownout.decide.evidence import Missing
from brownout.observe.sources import Source, parse


def secret(**data: str) -> dict[str, str]:
    """A Secret's data; `_` in a key stands for a dot."""
    return {key.replace("_", "."): b64encode(value.encode()).decode() for key, value in data.items()}


def test_a_secret_may_hold_url_and_credentials() -> None:
    found = parse(
        "s",
        secret(url="https://thanos:9090/", bearer="t\n", ca_crt="PEM", headers="X-Scope-OrgID: media\n\nA: b:c"),
        default_url="",
    )
    headers = (("X-Scope-OrgID", "media"), ("A", "b:c"))
    assert found == Source(url="https://thanos:9090", bearer="t", ca="PEM", headers=headers)


def test_without_a_url_it_is_the_operators_own_prometheus() -> None:
    assert parse("s", secret(username="u", password="p"), default_url="http://p:9090") == Source(
        url="http://p:9090", username="u", password="p"
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (secret(bearer="t"), "no url"),
        (secret(url="prometheus:9090"), "not an HTTP address"),
        (secret(url="file:///etc/passwd"), "not an HTTP address"),
        (secret(url="http://p", headers="nonsense"), "`Name: value` on each line"),
        ({"url": "%%%"}, "is not text"),
    ],
)
def test_a_secret_that_makes_no_sense_is_named_and_not_quoted(data: dict[str, str], said: str) -> None:
    found = parse("brownout/s", data, default_url="")
    assert isinstance(found, Missing)
    assert said in found.message
    assert "brownout/s" in found.message
    assert "passwd" not in found.message


def test_a_source_does_not_show_what_it_holds() -> None:
    assert "hunter2" not in repr(Source(url="http://user:hunter2@p", password="hunter2"))
    assert "hunter2" not in f"{Source(url='http://p', bearer='hunter2')}"
