"""The browser itself: what the other tests take for granted."""

from browser.chromium import Tabs


def test_a_page_that_asks_another_host_is_found_out(tabs: Tabs) -> None:
    tab = tabs.open()
    tab.route("**/*", lambda route: route.abort())
    tab.set_content('<img src="https://elsewhere.invalid/pixel.png" alt="">')
    assert tabs.complaints == ["another host is asked: https://elsewhere.invalid/pixel.png"]
    tabs.complaints.clear()


def test_a_script_that_a_policy_forbids_is_found_out(tabs: Tabs) -> None:
    tab = tabs.open()
    with tab.expect_console_message():
        tab.set_content(
            """<meta http-equiv="Content-Security-Policy" content="default-src 'none'"><script>self.done = 1</script>"""
        )
    assert "Content Security Policy" in tabs.complaints[0]
    tabs.complaints.clear()


def test_a_script_that_fails_is_found_out(tabs: Tabs) -> None:
    tab = tabs.open()
    with tab.expect_event("pageerror"):
        tab.evaluate("setTimeout(() => { throw new Error('on purpose') })")
    assert "on purpose" in tabs.complaints[0]
    tabs.complaints.clear()
