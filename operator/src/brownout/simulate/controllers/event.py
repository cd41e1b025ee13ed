"""The event itself: what was done in March and April 2025, when image generation went viral, with its own delays.

Source: press reports (25 March to 3 April 2025). From the onset:

- after 1 day the first switch: the feature that went viral is put off for those who do not pay;
- after 2 days a quota: three requests a day for each of their users;
- after 6 days the switch for new accounts: the first rung of the ladder (there: video);
- after 7 days the feature is opened to all again; quota and new accounts stay as they are.

Which feature went viral is seen from what is asked for when the switch is thrown. Nothing else is measured: it is people, and a
restart means nothing to them. A scenario of an hour sees an HPA and nothing besides.
"""

from msgspec import Struct

from brownout.api.resources import Key
from brownout.decide.cells import ladder
from brownout.decide.outcome import CellKey, Level
from brownout.simulate.controller import Action, Observation, Setting
from brownout.simulate.controllers import hpa
from brownout.simulate.controllers.people import DAY
from brownout.simulate.controllers.quotas import of_lowest_tier

FIRST_SWITCH_SECONDS = 1 * DAY
QUOTA_SECONDS = 2 * DAY
NEW_ACCOUNTS_SECONDS = 6 * DAY
OPEN_SECONDS = 7 * DAY
QUOTA = 3


class Parameters(Struct, frozen=True, kw_only=True):
    scaling: hpa.Parameters = hpa.Parameters()


GRID = tuple(Parameters(scaling=scaling) for scaling in hpa.GRID)


class Event:
    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        self._onset = setting.onset
        self._cells = of_lowest_tier(setting)
        self._first_rungs = ladder(setting.cells.values())[:1]
        self._viral: Key | None = None

    def restart(self) -> None:
        """They go on."""

    def decide(self, seen: Observation) -> Action:
        since = seen.at - self._onset
        if since < FIRST_SWITCH_SECONDS:
            return Action()
        self._viral = self._viral or self._most_wanted(seen)
        levels: dict[CellKey, Level] = {}
        if since < OPEN_SECONDS:
            levels |= {cell.key: cell.floor for cell in self._cells if cell.key.policy == self._viral}
        if since >= NEW_ACCOUNTS_SECONDS:
            levels |= {rung.cell.key: rung.cell.floor for rung in self._first_rungs}
        quotas = {cell.key: QUOTA for cell in self._cells} if since >= QUOTA_SECONDS else {}
        return Action(levels=levels, quotas=quotas)

    def _most_wanted(self, seen: Observation) -> Key | None:
        """The feature for which the tier asks for most GPU time; None where nothing can be seen."""
        asked: dict[Key, float] = {}
        for cell in self._cells:
            here = seen.cells.get(cell.key)
            if here is not None and here.offered is not None:
                load = here.offered * sum(cell.costs[0].values())
                asked[cell.key.policy] = asked.get(cell.key.policy, 0.0) + load
        return max(asked, key=lambda key: asked[key], default=None)
