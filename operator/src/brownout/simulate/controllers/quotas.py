"""Static quotas: three requests a day and feature for every user of the tier of lowest priority, always.

Source: the quota that the event which this project is named after ended with ("3 images a day", March 2025, press reports).
Nothing is measured and nothing is decided: cheap, and paid for on quiet days too.
"""

from msgspec import Struct

from brownout.decide.cells import Cell
from brownout.simulate.controller import Action, Observation, Setting
from brownout.simulate.controllers import hpa


class Parameters(Struct, frozen=True, kw_only=True):
    scaling: hpa.Parameters = hpa.Parameters()
    limit: int = 3


GRID = tuple(Parameters(scaling=scaling) for scaling in hpa.GRID)


class Quotas:
    """The same for ever."""

    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        self._action = Action(quotas={cell.key: parameters.limit for cell in of_lowest_tier(setting)})

    def restart(self) -> None:
        """Quotas are counted beside the users' requests."""

    def decide(self, seen: Observation) -> Action:
        return self._action


def of_lowest_tier(setting: Setting) -> list[Cell]:
    """The cells that may be shed of the tier that matters least: those who do not pay."""
    cells = [cell for cell in setting.cells.values() if cell.planned and not cell.always]
    lowest = min((cell.tier_priority for cell in cells), default=0)
    return [cell for cell in cells if cell.tier_priority == lowest]
