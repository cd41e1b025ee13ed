"""The status page in a real browser: with a script and without, in every language, in light and in dark."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from brownout.flags.pages.languages import direction
from brownout.flags.pages.words import shipped
from browser.accessibility import found_by_axe
from browser.chromium import Tabs
from browser.pages import NOTICE, images, in_short_supply, keep, served
from flags.builders import NAMESPACE
from flags.process import FlagServer
from support.waiting import wait_for

NARROW = {"width": 320, "height": 640}
BLIND = {"java_script_enabled": False}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlagServer]:
    """A server that no test changes."""
    folder = tmp_path_factory.mktemp("status")
    in_short_supply(folder)
    with served(folder) as running:
        yield running


@pytest.fixture
def address(server: FlagServer) -> str:
    return f"{server.url}/{NAMESPACE}/status"


def feature(tab: Page, name: str) -> str:
    """What the page says of a feature."""
    section = tab.locator("section").filter(has=tab.get_by_role("heading", name=name))
    return re.sub(r"\s+", " ", section.inner_text())


# Without a script


def test_without_a_script_the_page_says_what_is_limited_for_whom_since_when_and_until_when(
    tabs: Tabs, address: str
) -> None:
    tab = tabs.open(address, locale="en-GB", **BLIND)
    expect(tab.get_by_role("heading", level=1)).to_have_text("Some features are limited")
    assert NOTICE["en"] in feature(tab, "Image generation")
    assert re.search(
        r"Free New accounts Paused demand is high Since \d\d:\d\d UTC Expected back No time is known yet",
        feature(tab, "Image generation"),
    )
    assert re.search(
        r"Free everybody else Simpler than usual for 65% of users, paused for 35% demand is high "
        r"Since \d\d:\d\d UTC Expected back Not before \d\d:\d\d UTC",
        feature(tab, "Image generation"),
    )
    assert re.search(r"Everybody Paused switched by our team .* Planned for", feature(tab, "Video generation"))
    assert "Available" in feature(tab, "Chat")
    assert not tab.get_by_text("keeps itself up to date").is_visible()


def test_nothing_on_the_page_or_in_the_feed_is_for_operators_alone(
    server: FlagServer, tabs: Tabs, address: str
) -> None:
    content = tabs.open(address, **BLIND).content() + str(server.ask(f"/{NAMESPACE}/status.json")[1])
    for secret in ("user-4711", "161 %", "a test"):  # a targetingKey, numbers of GPUs, the reason of an override
        assert secret not in content


@pytest.mark.parametrize("locale", sorted(shipped()))
def test_the_page_speaks_the_readers_language_in_its_direction(tabs: Tabs, address: str, locale: str) -> None:
    tab = tabs.open(address, locale=locale, viewport=NARROW, **BLIND)
    root = tab.locator("html")
    assert (root.get_attribute("lang"), root.get_attribute("dir")) == (locale, direction(locale))
    expect(tab.get_by_role("heading", level=1)).to_have_text(shipped()[locale].some_limited)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than a narrow screen"


@pytest.mark.parametrize("locale", ["ar", "he"])
def test_a_page_from_right_to_left_begins_at_the_right(tabs: Tabs, address: str, locale: str) -> None:
    tab = tabs.open(f"{address}?lang={locale}")
    heading = tab.locator("h2").first.bounding_box()
    state = tab.locator(".state").first.bounding_box()
    assert heading is not None
    assert state is not None
    assert heading["x"] > state["x"]


def test_a_notice_is_in_the_readers_language_where_the_policy_has_it(tabs: Tabs, address: str) -> None:
    german = tabs.open(address, locale="de-AT", **BLIND).locator(".notice").first
    expect(german).to_have_text(NOTICE["de"])
    french = tabs.open(address, locale="fr", **BLIND).locator(".notice").first
    expect(french).to_have_text(NOTICE["en"])
    assert (french.get_attribute("lang"), french.get_attribute("dir")) == ("en", "ltr")


def test_a_language_can_be_chosen_on_the_page(tabs: Tabs, address: str) -> None:
    tab = tabs.open(address, locale="en", **BLIND)
    tab.get_by_role("link", name="Deutsch").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Einige Funktionen sind eingeschränkt")
    expect(tab.get_by_role("link", name="Deutsch")).to_have_attribute("aria-current", "true")


# As a browser shows it


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en", "he"])
def test_axe_finds_nothing(tabs: Tabs, address: str, scheme: Any, locale: str) -> None:
    tab = tabs.open(f"{address}?lang={locale}", color_scheme=scheme)
    expect(tab.locator("#live")).to_be_visible()
    assert found_by_axe(tab) == []


def test_light_and_dark_are_the_readers_choice(tabs: Tabs, address: str) -> None:
    grounds = [
        tabs.open(address, color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert grounds == ["rgb(246, 247, 248)", "rgb(15, 20, 25)"]


def test_a_script_shows_times_in_the_readers_zone(tabs: Tabs, address: str) -> None:
    tab = tabs.open(address, locale="en-GB", timezone_id="Asia/Kolkata")
    expect(tab.locator("#live")).to_be_visible()
    written = tab.locator(".since time").first
    assert re.fullmatch(r"\d\d:\d\d UTC", written.get_attribute("title") or "")
    shown = (
        written.get_attribute("datetime") or "",
        written.inner_text(),
    )  # with the day before, where there it is another one
    minutes = [
        int(hour) * 60 + int(minute) for hour, minute in (re.findall(r"(\d\d):(\d\d)", text)[0] for text in shown)
    ]
    assert (minutes[1] - minutes[0]) % 1440 == 330


def test_the_page_can_be_used_by_keyboard_alone(tabs: Tabs, address: str) -> None:
    tab = tabs.open(address)
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="Skip to the features")).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator("#features")).to_be_focused()
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name=shipped()["ar"].language)).to_be_focused()


def test_what_a_policy_says_is_text_and_never_markup(tabs: Tabs, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    keep(tmp_path, images(name=name))
    with served(tmp_path) as server:
        tab = tabs.open(f"{server.url}/{NAMESPACE}/status")
        expect(tab.get_by_role("heading", level=2)).to_have_text(name)
        assert tab.locator("main img").count() == 0


# What is asked, and how it is answered


def test_the_feed_has_a_version_and_is_sent_once(server: FlagServer) -> None:
    path = f"/{NAMESPACE}/status.json"
    status, feed, headers = server.ask(path)
    assert (status, feed["state"], headers["Access-Control-Allow-Origin"]) == (200, "limited", "*")
    assert [each["key"] for each in feed["features"]] == ["image-generation", "video-generation", "chat"]
    status, body, again = server.ask(path, headers={"If-None-Match": headers["ETag"]})
    assert (status, body, again["ETag"]) == (304, "", headers["ETag"])


def test_the_page_is_sent_once_for_each_language(server: FlagServer) -> None:
    path, english = f"/{NAMESPACE}/status", {"Accept-Language": "en"}
    _, _, headers = server.ask(path, headers=english)
    assert (headers["Content-Language"], "Accept-Language" in headers["Vary"]) == ("en", True)
    assert server.ask(path, headers={**english, "If-None-Match": headers["ETag"]})[0] in (
        200,
        304,
    )  # a new minute may begin
    assert server.ask(path, headers={"Accept-Language": "de", "If-None-Match": headers["ETag"]})[0] == 200


def test_every_answer_forbids_what_a_page_does_not_need(server: FlagServer) -> None:
    for path in ("status", "status.json", "status/status.js", "status/status.css", "status/icon.svg"):
        _, _, headers = server.ask(f"/{NAMESPACE}/{path}")
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), path
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["status/no.js", "status/..%2Fsite.py", "status/words.toml", "status/words/en.toml"])
def test_only_the_pages_own_files_are_sent(server: FlagServer, path: str) -> None:
    assert server.ask(f"/{NAMESPACE}/{path}")[0] == 404


def test_a_namespace_may_be_left_out_where_one_is_served(server: FlagServer, tabs: Tabs) -> None:
    tab = tabs.open(f"{server.url}/status")
    expect(tab.get_by_role("heading", name="Image generation")).to_be_visible()
    expect(tab.locator("#live")).to_be_visible()


def test_the_page_can_be_switched_off(tmp_path: Path) -> None:
    in_short_supply(tmp_path)
    with served(tmp_path, options=["--no-status-page"]) as server:
        assert server.ask(f"/{NAMESPACE}/status")[0] == 404


# A server that goes and comes


def test_a_lost_connection_is_said_what_was_shown_stays_and_news_arrive_when_it_is_back(
    tabs: Tabs, tmp_path: Path
) -> None:
    in_short_supply(tmp_path)
    with served(tmp_path) as server:
        tab = tabs.open(f"{server.url}/{NAMESPACE}/status")
        expect(tab.locator("#live")).to_be_visible()
        server.end(signal.SIGKILL)
        expect(tab.get_by_role("alert")).to_contain_text("Connection lost")
        assert "Paused" in feature(tab, "Image generation")
        keep(tmp_path, images(cells=()))
        server.start()
        expect(tab.get_by_role("heading", level=1)).to_have_text("Everything is available")
        expect(tab.locator("#lost")).to_be_hidden()
        expect(tab.get_by_role("status")).to_have_text("Everything is available")


def test_a_server_ends_at_once_although_pages_are_open(tabs: Tabs, tmp_path: Path) -> None:
    in_short_supply(tmp_path)
    with served(tmp_path) as server:
        tab = tabs.open(f"{server.url}/{NAMESPACE}/status")
        expect(tab.locator("#live")).to_be_visible()
        assert server.end() == 0
        assert wait_for(lambda: not server.running, "it has ended", seconds=2)
