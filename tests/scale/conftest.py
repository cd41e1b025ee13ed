"""What is measured here, collected for a table; the whole run writes it into benchmarks/results/scale.md."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.size import WHOLE

collect_ignore = [] if WHOLE else ["test_soak.py"]
"""A soak is of the whole run alone: one flood takes minutes, and the demo is one."""

HOW = (
    "The operator alone on one processor, everything else (API server, etcd, Prometheus, what it scrapes) on the others. Each model is"
    " a scaler with two queries of its own, a workload with one ready pod, and a policy for three tiers by the reference server's"
    " metrics; ten namespaces, each with a pool. A figure is the median, with the least and the greatest in brackets, or the"
    " percentile that it names. `make test-scale` makes this page."
)


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Iterator[list[Any]]:
    """Figures for the page; tests append to it."""
    sys.path.insert(0, str(pytestconfig.rootpath / "benchmarks"))
    from report import print_figures, write_figures

    began = time.monotonic()
    found: list[Any] = []
    yield found
    print_figures(found)
    if WHOLE and os.environ.get("BROWNOUT_KEEP", "yes") == "yes":
        write_figures("scale", "The operator's figures", found, (time.monotonic() - began) / 60, HOW)


@pytest.fixture(scope="session", autouse=True)
def leave_one_processor() -> Iterator[None]:
    """This process, and all that it starts, leaves the first processor to the operator, where there is another."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {min(before)} or before)
    yield
    os.sched_setaffinity(0, before)
