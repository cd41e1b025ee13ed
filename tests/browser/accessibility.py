"""axe-core in a tab: what it finds, in a line each."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def found_by_axe(tab: Page) -> list[str]:
    """Every violation of WCAG 2.2 AA and of axe's best practices, with the element that it is about."""
    response = Axe().run(tab, options=RULES).response
    return [
        f"{violation['id']}: {violation['help']}: {node['html']}: {node['failureSummary']}"
        for violation in response["violations"]
        for node in violation["nodes"]
    ]
