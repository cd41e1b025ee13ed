"""Writes the chart's Grafana dashboards from their descriptions, or checks that what is committed is what they generate.

`make generate` writes, `make check` checks.
"""

import argparse
import json
import sys
from pathlib import Path

from grafana import control_plane, decisions, inference, product
from grafana.model import as_json

FOLDER = Path(__file__).parents[1] / "charts" / "brownout" / "files" / "dashboards"
DASHBOARDS = (decisions.DASHBOARD, product.DASHBOARD, control_plane.DASHBOARD, inference.DASHBOARD)


def documents() -> dict[Path, str]:
    """The files' contents by their paths."""
    return {FOLDER / f"{each.uid}.json": json.dumps(as_json(each), indent=1) + "\n" for each in DASHBOARDS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where a file is not what is generated")
    checking = parser.parse_args().check
    wanted = documents()
    stray = set(FOLDER.glob("*.json")) - set(wanted)
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in (*stale, *stray):
        if checking:
            print(f"{path}: not what scripts/grafana describes; run `make generate`", file=sys.stderr)
    if checking:
        return 1 if stale or stray else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(wanted[path])
    for path in stray:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
