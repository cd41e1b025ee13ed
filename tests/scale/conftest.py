"""What is measured here, collected for tables; the whole run writes them into benchmarks/results, a page for each kind of test."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.size import WHOLE

collect_ignore = [] if WHOLE else ["test_soak.py"]
"""A soak is of the whole run alone: one flood takes minutes, and the demo is one."""

MODELS = (
    "The operator alone on one processor, everything else (API server, etcd, Prometheus, what it scrapes) on the others. Each model is"
    " a scaler with two queries of its own, a workload with one ready pod, and a policy for three tiers by the reference server's"
    " metrics; ten namespaces, each with a pool. A figure is the median, with the least and the greatest in brackets, or the"
    " percentile that it names. `make test-scale` makes this page."
)
FLOODS = (
    "The demo's flood at four times its speed, one after the other, each with a seed of its own: the chart's operator and flag server,"
    " up to twelve inference servers and users on one processor. Memory is what a process holds resident, a median of looks at equal"
    " intervals. `make test-scale` makes this page."
)


class Page:
    """A page of figures. It is written only where something was measured, so that a part of the run leaves the others' pages alone."""

    def __init__(self, title: str, how: str) -> None:
        self.title, self.how = title, how
        self.figures: list[Any] = []
        self.seconds = 0.0


@pytest.fixture(scope="session")
def pages(pytestconfig: pytest.Config) -> Iterator[dict[str, Page]]:
    """Every page, by the name of its file; written at the end."""
    sys.path.insert(0, str(pytestconfig.rootpath / "benchmarks"))
    from report import print_figures, write_figures

    found = {
        "scale": Page("The operator's figures", MODELS),
        "scale-10000": Page("The operator's figures with 10,000 models", MODELS),
        "soak": Page("A flood after the other", FLOODS),
    }
    yield found
    for name, page in found.items():
        if page.figures:
            print_figures(page.figures)
            if WHOLE and os.environ.get("BROWNOUT_KEEP", "yes") == "yes":
                write_figures(name, page.title, page.figures, page.seconds / 60, page.how)


@pytest.fixture
def figures(request: pytest.FixtureRequest, pages: dict[str, Page]) -> Iterator[list[Any]]:
    """Figures of the test's page; the test appends to them."""
    page = pages[page_of(request.node.nodeid)]
    began = time.monotonic()
    yield page.figures
    page.seconds += time.monotonic() - began


def page_of(test: str) -> str:
    """The page of a test, by its id."""
    if "test_soak" in test:
        return "soak"
    return "scale-10000" if "10000-models" in test else "scale"


@pytest.fixture(scope="session", autouse=True)
def leave_one_processor() -> Iterator[None]:
    """This process, and all that it starts, leaves the first processor to the operator, where there is another."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {min(before)} or before)
    yield
    os.sched_setaffinity(0, before)
