"""People with switches: they notice, talk, and throw the next whole feature of a tier after 15, 30 or 60 minutes.

Source: the runbooks of on-call teams and the event that this project is named after; no algorithm is published. A dashboard shows
that requests wait (mean time in the queue over `notice` of the objective). As long as it comes back within five minutes it is one
incident. `delay_seconds` after it was noticed, and each `delay_seconds` that it lasts, the next switch is thrown: a feature for a
whole tier, in the order of the ladder (video for free, then images for free, ...). After `give_back_seconds` without trouble, and
each as long again, the last one is taken back. Who sees no data does nothing. A restarted process means nothing to them.
"""

from msgspec import Struct, structs

from brownout.api.resources import Key
from brownout.decide.cells import Cell, ladder
from brownout.decide.outcome import CellKey, Level
from brownout.simulate.controller import Action, Observation, Setting
from brownout.simulate.controllers import hpa
from brownout.simulate.controllers.signals import queueing

ALL_CLEAR_SECONDS = 300.0
DAY = 86400.0


class Parameters(Struct, frozen=True, kw_only=True):
    scaling: hpa.Parameters = hpa.Parameters()
    delay_seconds: float = 900.0
    notice: float = 1.0
    give_back_seconds: float = DAY


def grid(delay_seconds: float) -> tuple[Parameters, ...]:
    """The same people, more or less watchful, who give back a day later or after as long as it took to act."""
    base = Parameters(delay_seconds=delay_seconds)
    late = structs.replace(base, scaling=hpa.LATE)
    return (
        base,
        structs.replace(base, give_back_seconds=delay_seconds),
        late,
        structs.replace(late, give_back_seconds=delay_seconds),
        structs.replace(late, notice=0.5),
        structs.replace(late, notice=0.5, give_back_seconds=delay_seconds),
    )


class People:
    """One team for the pool."""

    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        self._setting, self._parameters = setting, parameters
        self._switches = switches(setting)
        self._thrown = 0
        self._noticed_at: float | None = None
        self._trouble_at: float | None = None
        self._calm_since: float | None = None
        self._action = Action()

    def restart(self) -> None:
        """They go on."""

    def decide(self, seen: Observation) -> Action:
        trouble = self._trouble(seen)
        if trouble is None:
            return self._action
        if trouble:
            self._trouble_at, self._calm_since = seen.at, None
            self._noticed_at = seen.at if self._noticed_at is None else self._noticed_at
        elif self._trouble_at is None or seen.at - self._trouble_at >= ALL_CLEAR_SECONDS:
            self._noticed_at = None
            self._calm_since = seen.at if self._calm_since is None else self._calm_since
        if self._noticed_at is not None and seen.at - self._noticed_at >= self._parameters.delay_seconds:
            self._noticed_at = seen.at
            self._set(self._thrown + 1)
        elif self._calm_since is not None and seen.at - self._calm_since >= self._parameters.give_back_seconds:
            self._calm_since = seen.at
            self._set(self._thrown - 1)
        return self._action

    def _trouble(self, seen: Observation) -> bool | None:
        """Whether users wait too long anywhere; None where nothing can be seen."""
        ratios = [queueing(w, self._setting.objective_seconds[w.name]) for w in seen.workloads.values()]
        known = [ratio for ratio in ratios if ratio is not None]
        return any(ratio > self._parameters.notice for ratio in known) if known else None

    def _set(self, thrown: int) -> None:
        self._thrown = min(max(0, thrown), len(self._switches))
        self._action = Action(levels=off(self._switches[: self._thrown]))


def switches(setting: Setting) -> list[list[Cell]]:
    """A feature for a whole tier, all cohorts, is one switch; in the order in which the ladder first takes something of it."""
    found: dict[tuple[str, Key], dict[CellKey, Cell]] = {}
    for rung in ladder(setting.cells.values()):
        key = rung.cell.key
        found.setdefault((key.audience.tier, key.policy), {})[key] = rung.cell
    return [list(cells.values()) for cells in found.values()]


def off(thrown: list[list[Cell]]) -> dict[CellKey, Level]:
    """The levels behind switches that are thrown: the lowest that the policy allows."""
    return {cell.key: cell.floor for cells in thrown for cell in cells}
