"""Who changed a workload's replicas: we, somebody once, or somebody again and again."""

from brownout.api.resources import Key
from brownout.run.rivals import WITHIN_SECONDS, Rivals

IMAGE = Key("media", "image")


def fight(rounds: int, *, every_seconds: float = 15.0) -> Rivals:
    """We write 4, somebody else writes 2, so many times."""
    rivals = Rivals()
    for number in range(rounds):
        at = number * every_seconds
        rivals.look({IMAGE: 2}, now=at)
        rivals.tries(IMAGE, 4)
        rivals.look({IMAGE: 4}, now=at + 5)
    rivals.look({IMAGE: 2}, now=rounds * every_seconds)
    return rivals


def test_somebody_who_keeps_changing_replicas_is_spoken_of() -> None:
    rivals = fight(3)
    assert rivals.contested() == [IMAGE]
    said = rivals.sentence(IMAGE, "Deployment image")
    assert "replicas of Deployment image (last from 4 to 2)" in said
    assert "HorizontalPodAutoscaler" in said


def test_one_change_by_hand_is_nobody_elses_fault() -> None:
    assert fight(1).contested() == []


def test_our_own_writes_are_not_taken_for_somebody_elses() -> None:
    rivals = Rivals()
    for replicas in (1, 2, 3, 4, 3, 2, 1):
        rivals.tries(IMAGE, replicas)
        rivals.look({IMAGE: replicas}, now=float(replicas))
    assert rivals.contested() == []


def test_a_write_of_ours_whose_answer_never_came_is_ours() -> None:
    rivals = Rivals()
    for at in range(0, 40, 10):
        rivals.look({IMAGE: at}, now=float(at))
        rivals.tries(IMAGE, at + 10)
        rivals.look({IMAGE: at}, now=at + 5.0)
    assert rivals.contested() == []


def test_changes_of_long_ago_are_forgotten() -> None:
    assert fight(5, every_seconds=WITHIN_SECONDS).contested() == []
    rivals = fight(5)
    rivals.look({IMAGE: 2}, now=2 * WITHIN_SECONDS)
    assert rivals.contested() == []


def test_a_workload_that_could_not_be_read_for_a_while_was_changed_by_nobody() -> None:
    rivals = Rivals()
    for number in range(8):
        rivals.look({IMAGE: number}, now=number * 2.0)
        rivals.look({}, now=number * 2.0 + 1)
    assert rivals.contested() == []
