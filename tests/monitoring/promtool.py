"""Asks the real promtool whether an alert fires on series that a test states."""

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from brownout_localcluster.binaries import find_binaries
from monitoring.rules import RULES

Series = Mapping[str, str]
"""Samples, one a minute from 1970 on in promtool's notation, by series: `_` is none, `0+60x10` is 0, 60, ... 600."""


@cache
def promtool() -> Path:
    return find_binaries({"promtool"})["promtool"]


def expect(folder: Path, series: Series, *, alert: str, at: str, firing: list[dict[str, Any]]) -> None:
    """Fails unless, after a while (`10m`), the alert fires with exactly these labels and annotations; [] is not at all."""
    test = {
        "name": alert,
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": firing}],
    }
    ran = run(folder, [test])
    assert ran.returncode == 0, ran.stdout + ran.stderr


def run(folder: Path, tests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """`promtool test rules`, over all of the chart's rules."""
    file = folder / "test.yaml"
    document = {"rule_files": [str(path) for path in RULES], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False, timeout=120)
