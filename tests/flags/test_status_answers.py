"""How the status page is answered: one page for all who read the same, compressed once, and a 304 for who has it."""

import gzip
import http.client
import time
from collections.abc import Iterator
from itertools import permutations

import pytest

from brownout.api.policy import Notice
from brownout.flags.pages import site
from flags.builders import NAMESPACE, cell, policy
from flags.hosted import HostedServer, hosted

PAGE, FEED = f"/{NAMESPACE}/status", f"/{NAMESPACE}/status.json"


@pytest.fixture
def server() -> Iterator[HostedServer]:
    notices = [Notice(locale="en", when="Denied", text="Paused."), Notice(locale="de", when="Denied", text="Pausiert.")]
    with hosted(policy(cells=[cell("free", "denied")], notices=notices)) as running:
        yield running


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The language of each rendering."""
    languages: list[str] = []
    original = site.document

    def counted(*arguments: object, **named: object) -> str:
        languages.append(named["reader"].locale)  # type: ignore[attr-defined]
        return original(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(site, "document", counted)
    now = time.time()
    monkeypatch.setattr("brownout.flags.pages.site.time.time", lambda: now)  # a minute that passes is another page
    return languages


def ask(server: HostedServer, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.headers)
    finally:
        connection.close()


def test_a_reader_cannot_have_a_page_made_by_languages_that_are_not_there(
    server: HostedServer, rendered: list[str]
) -> None:
    for number in range(50):
        status, body, headers = ask(server, PAGE, Accept_Language=f"x{number}-YZ, de-A{number};q=0.9, tlh;q=0.1")
        assert (status, headers["Content-Language"]) == (200, "de")
        assert b"Pausiert." in body
    assert rendered == ["de"]


def test_the_pages_of_a_namespace_are_as_many_as_the_choices_of_its_texts(
    server: HostedServer, rendered: list[str]
) -> None:
    """The words are there in eight languages, the notice in two."""
    for tags in permutations(("de", "en", "fr", "ja", "xx"), 3):
        ask(server, PAGE, Accept_Language=", ".join(tags))
    assert len(rendered) <= 8


def test_who_asks_for_a_language_on_the_page_gets_it(server: HostedServer) -> None:
    assert ask(server, f"{PAGE}?lang=de", Accept_Language="en")[2]["Content-Language"] == "de"
    assert ask(server, PAGE, Accept_Language="en")[2]["Content-Language"] == "en"


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/status.js"])
def test_each_form_is_validated_by_its_own_tag(server: HostedServer, path: str) -> None:
    plain = ask(server, path)
    small = ask(server, path, Accept_Encoding="gzip")
    assert "Content-Encoding" not in plain[2]
    assert small[2]["Content-Encoding"] == "gzip"
    assert gzip.decompress(small[1]) == plain[1]
    assert int(small[2]["Content-Length"]) == len(small[1]) < len(plain[1])
    assert plain[2]["ETag"] != small[2]["ETag"]
    for first, encoding in ((plain, "identity"), (small, "gzip")):
        status, body, headers = ask(server, path, Accept_Encoding=encoding, If_None_Match=f"W/{first[2]['ETag']}")
        assert (status, body) == (304, b"")
        for name in ("ETag", "Vary", "Cache-Control"):
            assert headers[name] == first[2][name]
    assert ask(server, path, Accept_Encoding="gzip", If_None_Match=plain[2]["ETag"])[0] == 200


def test_caches_are_told_by_what_the_answers_differ(server: HostedServer) -> None:
    assert ask(server, PAGE)[2]["Vary"] == "Accept-Language, Accept-Encoding"
    assert ask(server, FEED)[2]["Vary"] == "Accept-Encoding"
    with hosted(policy(), cors_origins=["https://app.example.com"]) as public:
        connection = http.client.HTTPConnection("127.0.0.1", public.http_port, timeout=10)
        connection.request("GET", FEED)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.headers.get_all("Vary") == ["Accept-Encoding"]
        assert answer.headers.get_all("Access-Control-Allow-Origin") == ["*"]


def test_a_page_is_compressed_once(server: HostedServer, rendered: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    compressed: list[int] = []
    original = gzip.compress

    def counted(content: bytes, level: int, *, mtime: int) -> bytes:
        compressed.append(len(content))
        return original(content, level, mtime=mtime)

    monkeypatch.setattr("brownout.flags.pages.content.gzip.compress", counted)
    for _ in range(20):
        assert ask(server, PAGE, Accept_Encoding="gzip, br")[0] == 200
    assert len(compressed) == 1


def test_nobodys_page_is_kept_while_nothing_is_known_of_any(monkeypatch: pytest.MonkeyPatch) -> None:
    with hosted(policy()) as server:
        server.board._awaited = {"": False}  # as before the API server has been heard
        assert ask(server, f"/{'n' * 64}/status")[0] == 404
        for number in range(site.MOST_PAGES + 20):
            assert ask(server, f"/nobody-{number}/status")[0] == 200
        assert len(server.pages._pages) <= site.MOST_PAGES
