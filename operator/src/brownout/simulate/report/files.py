"""The plots as files of their own, for documents such as the README: SVG or PNG, by the suffix of the path."""

from collections.abc import Sequence
from pathlib import Path

from brownout.simulate.record import Record
from brownout.simulate.report import theme
from brownout.simulate.report.run_plot import run_over_time
from brownout.simulate.report.values_plot import values
from brownout.simulate.results import Comparison


def write_values(path: Path, comparisons: Sequence[Comparison]) -> None:
    """V by scenario and controller. OSError where the file cannot be written."""
    with theme.themed():
        theme.save(values(comparisons), path)


def write_run(path: Path, record: Record) -> None:
    """One run over time. OSError where the file cannot be written."""
    with theme.themed():
        theme.save(run_over_time(record), path)
