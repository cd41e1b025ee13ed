"""The chart's alerts, as they are written in its files."""

from pathlib import Path
from typing import Any

import yaml

from support.examples import REPOSITORY

CHART = REPOSITORY / "charts" / "brownout"
RULES = sorted((CHART / "files" / "rules").glob("*.yaml"))
RUNBOOKS = CHART / "runbooks"


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by its name."""
    found: dict[str, dict[str, Any]] = {}
    for path in RULES:
        for rule in _rules(path):
            assert rule["alert"] not in found, f"{rule['alert']} is there twice"
            found[rule["alert"]] = rule
    return found


def _rules(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
