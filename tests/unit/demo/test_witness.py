"""The witness: what changed between two looks, in the order in which it was taken."""

from typing import Any

from brownout_demo.live import line, picture
from brownout_demo.records import Record
from brownout_demo.witness import Witness


def policy(name: str, shed_order: int, *cells: dict[str, Any]) -> dict[str, Any]:
    variants = [{"name": "full", "costs": [{"scaler": name}]}, {"name": "lite"}, {"name": "denied"}]
    spec = {"shedOrder": shed_order, "variants": variants}
    return {"metadata": {"name": name}, "spec": spec, "status": {"cells": list(cells)}}


def cell(tier: str, variant: str, percent: int = 100, cohort: str = "") -> dict[str, Any]:
    return {"tier": tier, "cohort": cohort, "variant": variant, "percent": percent, "reason": "Capacity"}


class Shelf:
    """Objects as a cluster would list them."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {"GPUPool": [], "InferenceScaler": [], "FeaturePolicy": []}

    def list(self, api_version: str, kind: str) -> list[dict[str, Any]]:
        return self.objects[kind]


def witness(shelf: Shelf, record: Record) -> Witness:
    return Witness(shelf, record, now=lambda: 12.0, started=1_000_000.0)


async def test_changes_of_one_look_are_in_the_order_of_the_ladder() -> None:
    shelf, record = Shelf(), Record(minutes=6.0)
    seen = witness(shelf, record)
    shelf.objects["FeaturePolicy"] = [
        policy("image", 20, cell("free", "full")),
        policy("video", 10, cell("free", "full")),
    ]
    await seen.look()
    shelf.objects["FeaturePolicy"] = [
        policy("image", 20, cell("free", "lite")),
        policy("video", 10, cell("free", "full", 40)),
    ]

    await seen.look()

    assert [(f.feature, f.to_variant, f.percent, f.down) for f in record.flips] == [
        ("video", "full", 40, True),
        ("image", "lite", 100, True),
    ]


async def test_a_decision_is_noted_once_with_whether_its_features_were_back() -> None:
    shelf, record = Shelf(), Record(minutes=6.0)
    seen = witness(shelf, record)
    decision = {"at": "1970-01-12T13:46:50Z", "fromReplicas": 5, "toReplicas": 4, "rule": "Demand", "message": "less"}
    shelf.objects["InferenceScaler"] = [{"metadata": {"name": "image"}, "status": {"decisions": [decision]}}]
    shelf.objects["FeaturePolicy"] = [policy("image", 20, cell("free", "lite"))]

    await seen.look()
    await seen.look()

    assert [(s.at, s.from_replicas, s.to_replicas, s.own_cells_shed) for s in record.scalings] == [(10.0, 5, 4, True)]


async def test_what_the_operator_has_not_said_is_not_seen_as_zero() -> None:
    shelf, record = Shelf(), Record(minutes=6.0)
    shelf.objects["GPUPool"] = [{"metadata": {"name": "demo"}}]
    shelf.objects["InferenceScaler"] = [{"metadata": {"name": "image"}}]

    await witness(shelf, record).look()

    (moment,) = record.moments
    assert (moment.gpus, moment.held, moment.saturation_percent) == (None, None, None)
    assert (moment.scalers[0].ready, moment.scalers[0].saturation_percent) == (None, None)
    state = picture(record, 12.0)
    assert (state["saturation"], state["scalers"][0]["demanded"]) == (None, None)


def test_a_line_of_the_log_says_that_nothing_is_known_yet_and_no_number() -> None:
    said = line(picture(Record(minutes=6.0), 12.0))
    assert said == "[calm] GPUs -/-, saturation unknown, ladder -"
