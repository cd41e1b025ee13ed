"""Which rung is drilled: whom it is about, and what they are to get."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from brownout.api.resources import Key, Stored
from brownout.cli.explanation.seen import assumed
from brownout.cli.failure import failed
from brownout.decide.cells import FIRST, build_cells, ladder, taken
from brownout.decide.links import link
from brownout.decide.outcome import CellKey, Level
from brownout.decide.recall import recall
from brownout.decide.snapshot import Audience

By = Mapping[str, dict[Key, Stored[Any, Any]]]
"""Typed objects by kind and place."""


class Drilled(Struct, frozen=True, kw_only=True):
    """`cohort`: None is all of the tier, "" the rest of it. `scalers`: the workloads that the feature's variants load."""

    tier: str
    cohort: str | None
    variant: str
    scalers: tuple[Key, ...]

    def covers(self, audience: Audience) -> bool:
        """Whether it is about this tier and cohort."""
        return audience.tier == self.tier and self.cohort in (None, audience.cohort)

    @property
    def audience(self) -> str:
        return (
            self.tier
            if self.cohort is None
            else f"{self.tier}/{self.cohort}"
            if self.cohort
            else f"the rest of {self.tier}"
        )


def choose(objects: By, policy: Key, *, tier: str, cohort: str | None, variant: str, now: float) -> Drilled:
    """The rung that is asked for; where nothing is said, the next one of this feature to go.

    Raises CommandError where nobody may lose anything, or all that may be lost is.
    """
    snapshot = assumed(objects)
    levels = recall(snapshot, now).cells
    cells = [cell for key, cell in build_cells(link(snapshot)).items() if key.policy == policy]
    if not cells:
        raise failed(
            f"{policy.name} has no cell: its tiers or workloads are not there; see brownout explain policy {policy.name}"
        )

    def level(key: CellKey) -> Level:
        return levels[key].level if key in levels else FIRST

    scalers = tuple(sorted({scaler for cell in cells for scaler in cell.scalers}))
    if tier and variant:
        return Drilled(tier=tier, cohort=cohort, variant=variant, scalers=scalers)
    wanted = [
        cell for cell in cells if tier in ("", cell.key.audience.tier) and cohort in (None, cell.key.audience.cohort)
    ]
    rung = next((rung for rung in ladder(wanted) if not taken(rung, level(rung.cell.key))), None)
    if rung is None:
        of = f" of {tier}" if tier else ""
        raise failed(
            f"there is no rung{of} left to drill: nobody there may lose more of {policy.name}; write --tier and --variant"
        )
    found = rung.cell.key.audience
    alone = sum(cell.key.audience.tier == found.tier for cell in cells) == 1
    return Drilled(
        tier=found.tier,
        cohort=cohort if tier or alone else found.cohort,
        variant=variant or rung.cell.variants[rung.step + 1],
        scalers=scalers,
    )
