"""How full a workload is said to be, where that is known and where it is not."""

from brownout.decide.demand import Demand, Flow
from brownout.decide.fullness import how_full, percent, saturated
from brownout.decide.memory import ScalerMemory
from brownout.decide.snapshot import Scaler, Workload
from brownout.decide.view import ScalerView, supply_of
from support.build import NOW, pods, scaler


def view(saturation: float | None, *, was_full: bool = False, missing: tuple[str, ...] = ()) -> ScalerView:
    image: Scaler = scaler(replicas=4)
    there = Workload(replicas=4, gpus_per_replica=1, pods=pods(4))
    flow = None if saturation is None else Flow(4 * saturation)
    return ScalerView(
        scaler=image,
        supply=supply_of(there, image.stored.spec, ScalerMemory(), now=NOW),
        demand=Demand(offered=flow, admitted=flow, missing=missing),
        memory=ScalerMemory(),
        saturation=saturation,
        saturated=was_full,
    )


def test_a_figure_is_told_as_it_is() -> None:
    assert (percent(view(1.36)), how_full(view(1.36))) == (136, "image is 136 % full")
    assert (percent(view(0.0)), saturated(view(0.0)).status) == (0, False)


def test_what_is_not_seen_is_not_called_0_percent_full() -> None:
    assert percent(view(None)) is None
    assert how_full(view(None)) == "image cannot be seen"
    assert how_full(view(None, was_full=True)) == "image was full when it was last seen"


def test_what_is_not_seen_is_neither_saturated_nor_calm() -> None:
    assert saturated(view(None, missing=("metric queue: no answer",))).message == "metric queue: no answer"
    assert saturated(view(None)).status is None
    assert saturated(view(None, was_full=True)).status is True
