"""docs/monitoring.md tells of every metric and every alert, and of none that is not there."""

import re

import pytest

from monitoring.exported import exported, row
from monitoring.panels import FILES, load
from monitoring.rules import alerts
from support.examples import REPOSITORY

PAGE = (REPOSITORY / "docs" / "monitoring.md").read_text()
HEADINGS = {"operator": "### The operator", "flags": "### Flag servers", "inference": "### brownout-inference"}
OF_LIBRARIES = ("process_", "python_", "vllm:")


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return re.split(r"^#{2,3} ", PAGE.split(f"{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("program", HEADINGS)
def test_the_tables_are_those_of_the_registries(program: str) -> None:
    wanted = [row(metric) for metric in exported()[program].values() if not metric.name.startswith(OF_LIBRARIES)]
    written = [line for line in section(HEADINGS[program]).splitlines() if line.startswith("| `")]
    assert sorted(written) == sorted(wanted), "write these rows:\n" + "\n".join(wanted)


def test_every_alert_is_listed_with_its_severity_and_its_runbook() -> None:
    wanted = {
        name: f"| [`{name}`](../charts/brownout/runbooks/{name}.md) | {rule['labels']['severity']} | {rule.get('for', 'at once')} |"
        for name, rule in alerts().items()
    }
    written = [line for line in section("## Alerts").splitlines() if line.startswith("| [")]
    assert sorted(written) == sorted(wanted.values()), "write these rows:\n" + "\n".join(wanted.values())


def test_every_dashboard_is_named() -> None:
    for path in FILES:
        assert f"**{load(path)['title']}**" in PAGE


def test_the_front_page_counts_them_right() -> None:
    front = (REPOSITORY / "README.md").read_text()
    assert f"{['no', 'one', 'two', 'three', 'four', 'five'][len(FILES)]} Grafana dashboards" in front
    assert f"and {len(alerts())} alerts" in front
