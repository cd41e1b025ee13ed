"""Which statuses are worth a write."""

from typing import Any

from brownout.publish.changed import SETTLE_SECONDS, worth_writing

Status = dict[str, Any]
LONG_AGO = SETTLE_SECONDS + 1


def condition(kind: str, status: str = "False", *, reason: str = "Because", message: str = "", at: str = "") -> Status:
    """A condition."""
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}


def scaler(*, saturation: int = 50, desired: int = 2, rule: str = "Steady", **more: Any) -> Status:
    """A scaler's status in calm."""
    return {
        "observedGeneration": 1,
        "replicas": {"desired": desired, "current": 2, "ready": 2, "coming": 0, "demanded": 2},
        "saturationPercent": saturation,
        "summary": f"{rule}: 1.0 GPUs of load are asked for",
        "demand": {"offered": "1.00"},
        "conditions": [condition("Ready", "True"), condition("Saturated")],
    } | more


def policy(*, percent: int = 100, reason: str = "Served", shedding: str = "False", **cell: Any) -> Status:
    """A policy's status with one cell."""
    return {
        "observedGeneration": 1,
        "version": 1,
        "cells": [{"tier": "free", "variant": "full", "percent": percent, "reason": reason, "since": "t"} | cell],
        "conditions": [condition("Ready", "True"), condition("Shedding", shedding)],
    }


def writes(old: Status, new: Status, *, since: float | None = LONG_AGO) -> bool:
    """Whether the new status is written."""
    return worth_writing(old, new, since_last_write=since)


def test_the_same_status_is_not_written() -> None:
    assert not writes(scaler(), scaler())


def test_a_first_status_is_written() -> None:
    assert writes({}, scaler(), since=None)


def test_a_decision_is_written_at_once() -> None:
    assert writes(scaler(), scaler(desired=3), since=0.1)
    assert writes(policy(), policy(percent=50), since=0.1)


def test_a_condition_that_turns_is_written_at_once() -> None:
    turned = scaler(conditions=[condition("Ready", "True"), condition("Saturated", "True")])
    assert writes(scaler(), turned, since=0.1)


def test_a_new_generation_is_written_at_once() -> None:
    assert writes(scaler(), scaler(observedGeneration=2), since=0.1)


def test_noise_in_calm_writes_nothing() -> None:
    for saturation in (40, 45, 55, 60, 70):
        assert not writes(scaler(), scaler(saturation=saturation, demand={"offered": "1.10"}))


def test_a_rule_that_changes_in_calm_writes_nothing() -> None:
    assert not writes(scaler(), scaler(rule="Stabilization"))


def test_a_number_that_moved_far_is_written_but_seldom() -> None:
    assert writes(scaler(), scaler(saturation=80))
    assert not writes(scaler(), scaler(saturation=80), since=2.0)


def test_what_is_asked_for_is_written_where_it_moved_far_though_as_much_is_let_through() -> None:
    remembered = scaler(demand={"offered": "2.75", "capacity": "4.00"})
    assert writes(remembered, scaler(demand={"offered": "1.50", "capacity": "4.00"}))
    assert not writes(remembered, scaler(demand={"offered": "2.25", "capacity": "4.00"}))
    assert not writes(remembered, scaler(demand={"offered": "1.50", "capacity": "0.00"}))


def test_while_something_happens_smaller_moves_are_written() -> None:
    saturated = [condition("Saturated", "True")]
    old, near, far = (scaler(saturation=s, conditions=saturated) for s in (100, 105, 112))
    assert not writes(old, near)
    assert writes(old, far)
    assert writes(old, scaler(saturation=100, conditions=saturated, rule="PoolExhausted"))


def test_numbers_in_a_message_ride_along_and_words_are_written() -> None:
    def says(message: str) -> Status:
        return scaler(conditions=[condition("Ready", "False", message=message)])

    assert not writes(
        says("17 pods for 3.5 s since 2026-01-01T00:00:00Z"), says("18 pods for 9 s since 2026-01-02T00:00:00Z")
    )
    assert writes(says("no GPUPool 'h100'"), says("no GPUPool 'h200'"))
    assert not writes(says("no GPUPool 'a'"), says("no GPUPool 'b'"), since=1.0)


def test_why_a_cell_waits_is_written_but_seldom() -> None:
    old, new = policy(reason="Dwell", shedding="True"), policy(reason="DoesNotFit", shedding="True")
    assert writes(old, new)
    assert not writes(old, new, since=1.0)


def test_another_rule_of_the_gate_is_written_but_seldom_and_its_numbers_ride_along() -> None:
    def refused(rule: str, sentence: str) -> Status:
        return policy(shedding="True", refusedBy=rule, refusal=sentence)

    dwell = refused("Dwell", "shed 12 s ago; it stays for 120 s")
    assert not writes(dwell, refused("Dwell", "shed 40 s ago; it stays for 120 s"))
    assert writes(dwell, refused("Waits", "chat for free comes back first"))
    assert not writes(dwell, refused("Waits", "chat for free comes back first"), since=1.0)


def test_gpus_that_are_to_go_to_another_are_written_but_seldom() -> None:
    going = scaler(reclaim={"to": "media/chat", "keeps": 1})
    assert writes(scaler(), going)
    assert not writes(scaler(), going, since=1.0)


def test_what_only_decays_is_not_written() -> None:
    assert not writes(policy(offeredBefore="3.000", shedding="True"), policy(offeredBefore="2.900", shedding="True"))


def test_an_expected_return_is_written_when_it_is_off() -> None:
    old = policy(shedding="True", expectedReturn="2026-01-01T00:00:00Z")
    assert not writes(old, policy(shedding="True", expectedReturn="2026-01-01T00:00:05Z"))
    assert writes(old, policy(shedding="True", expectedReturn="2026-01-01T00:00:40Z"))


def test_cells_that_come_and_go_are_written() -> None:
    none = policy() | {"cells": []}
    assert writes(none, policy(), since=0.1)
    assert writes(policy(), none, since=0.1)


def test_another_user_who_is_held_back_is_written() -> None:
    assert writes(policy(user="ana"), policy(user="ben"), since=0.1)


def test_a_pool_is_written_when_gpus_change_hands_and_not_when_its_saturation_trembles() -> None:
    def pool(percent: int = 50, held: int = 2) -> Status:
        return {
            "observedGeneration": 1,
            "gpus": {"capacity": 4, "granted": 2, "held": held, "free": 4 - held},
            "saturation": {"percent": percent, "scaler": "image"},
            "conditions": [condition("Ready", "True")],
        }

    assert writes(pool(), pool(held=3), since=0.1)
    assert not writes(pool(), pool(percent=60))


def test_a_figure_that_is_no_longer_known_is_written_and_does_not_count_as_zero() -> None:
    known = scaler(saturation=80)
    unknown = {name: value for name, value in known.items() if name != "saturationPercent"}
    assert writes(known, unknown)
    assert writes(unknown, known)
    assert not writes(known, unknown, since=1.0)
    pool = {"gpus": {"capacity": 4}, "saturation": {"percent": 80}}
    assert writes(pool, pool | {"saturation": {"unknown": 1}})
    assert not writes(pool, pool | {"saturation": {"percent": 70}})


def test_that_a_workload_no_longer_waits_for_its_features_is_written_in_calm_too() -> None:
    assert writes(scaler(rule="OwnCellsShed"), scaler(rule="Demand"))
    assert writes(scaler(rule="Demand"), scaler(rule="OwnCellsShed"))
    assert not writes(scaler(rule="OwnCellsShed"), scaler(rule="Demand"), since=1.0)
