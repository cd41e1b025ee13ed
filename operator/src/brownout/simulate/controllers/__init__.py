"""The controllers that Brownout is compared with, each from its published algorithm, each tuned by the same procedure.

`CONTROLLERS` has, by name, how one is made and the settings that are tried for it, its defaults first: the published ones where
there are some. Those that scale with the HPA have its settings as `scaling` in theirs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from brownout.simulate.controller import Controller, Setting
from brownout.simulate.controllers import aimd, dagor, dimmer, event, hpa, keda, kpa, people, quotas, thresholds
from brownout.simulate.controllers.combined import Combined, Shedder

Factory = Callable[[Setting, Any], Controller]


class Entry(NamedTuple):
    """How a controller is made from a setting and one of its `grid`'s parameters."""

    factory: Factory
    grid: tuple[Any, ...]


def _beside_hpa(shedder: Callable[[Setting, Any], Shedder]) -> Factory:
    return lambda setting, parameters: Combined(setting, parameters.scaling, shedder(setting, parameters))


CONTROLLERS: dict[str, Entry] = {
    "hpa": Entry(hpa.HPA, hpa.GRID),
    "keda": Entry(keda.KEDA, keda.GRID),
    "kpa": Entry(kpa.KPA, kpa.GRID),
    "hpa+quotas": Entry(_beside_hpa(quotas.Quotas), quotas.GRID),
    "hpa+thresholds": Entry(_beside_hpa(thresholds.Thresholds), thresholds.GRID),
    "hpa+dimmer": Entry(_beside_hpa(dimmer.Dimmer), dimmer.GRID),
    "hpa+dagor": Entry(_beside_hpa(dagor.DAGOR), dagor.GRID),
    "hpa+aimd": Entry(_beside_hpa(aimd.AIMD), aimd.GRID),
    "hpa+people-15m": Entry(_beside_hpa(people.People), people.grid(900.0)),
    "hpa+people-30m": Entry(_beside_hpa(people.People), people.grid(1800.0)),
    "hpa+people-60m": Entry(_beside_hpa(people.People), people.grid(3600.0)),
    "hpa+event": Entry(_beside_hpa(event.Event), event.GRID),
}
