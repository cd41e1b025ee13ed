"""What `make e2e` can be told, all of it by environment variables."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the tests run, what they run, and where they leave what failed.

    `node_image` is empty for kind's own. `keep` leaves a cluster that was made here; one that was there already always stays.
    `previous` is the revision whose chart and image are upgraded from, and rolled back to; empty for the last one that there is.
    """

    cluster: str
    node_image: str
    kind: str
    keep: bool
    gpus_per_node: int
    previous: str
    output: Path
    seed: int


def settings_from(environment: dict[str, str] | None = None) -> Settings:
    """Reads KIND_CLUSTER_NAME, KIND_NODE_IMAGE, KIND, E2E_KEEP, E2E_GPUS, E2E_PREVIOUS, E2E_OUT and E2E_SEED."""
    given = dict(os.environ) if environment is None else environment
    return Settings(
        cluster=given.get("KIND_CLUSTER_NAME", "brownout-e2e"),
        node_image=given.get("KIND_NODE_IMAGE", ""),
        kind=given.get("KIND", "kind"),
        keep=given.get("E2E_KEEP", "") not in ("", "0"),
        gpus_per_node=int(given.get("E2E_GPUS", "6")),
        previous=given.get("E2E_PREVIOUS", ""),
        output=Path(given.get("E2E_OUT", str(ROOT / "out" / "e2e"))),
        seed=int(given.get("E2E_SEED", "3")),
    )
