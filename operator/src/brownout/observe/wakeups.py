"""A remedy for kopf's start: it wakes every object's worker whenever any one object has been indexed.

Until the first list of every kind is in, kopf holds each object's worker back in a set of toggles, one for each object, and tells all who
wait of every toggle that comes or goes. With n objects those are n * n wake-ups: 200,000 with the 1,265 objects of three hundred models,
and two million, most of a minute, with a thousand. Whoever waits for a set asks for one thing alone, whether it is on as a whole. So it is
enough to tell them when that has changed.

kopf has no setting for this, so its class gets other methods, with the same meaning. It is private to kopf; a test says whether they fit.
"""

from collections.abc import Iterable
from typing import Any

from kopf._cogs.aiokits.aiotoggles import Toggle, ToggleSet


def tell_of_changes_alone() -> None:
    """From now on the sets of this process wake those who wait when the set as a whole turns on or off."""
    for method in (make_toggle, drop_toggle, drop_toggles):
        setattr(ToggleSet, method.__name__, method)


async def make_toggle(self: Any, value: bool = False, *, name: str | None = None) -> Toggle:
    """Add a toggle."""
    toggle = Toggle(value, name=name, condition=self._condition)
    async with self._condition:
        before = self.is_on()
        self._toggles.add(toggle)
        _tell(self, before)
    return toggle


async def drop_toggle(self: Any, toggle: Toggle) -> None:
    """Take a toggle away."""
    await drop_toggles(self, (toggle,))


async def drop_toggles(self: Any, toggles: Iterable[Toggle]) -> None:
    """Take toggles away."""
    async with self._condition:
        before = self.is_on()
        self._toggles.difference_update(toggles)
        _tell(self, before)


def _tell(toggles: Any, before: bool) -> None:
    if toggles.is_on() != before:
        toggles._condition.notify_all()
