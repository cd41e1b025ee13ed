"""Each sentence of the story is judged on what was seen: it must be able to be false."""

from collections.abc import Iterable
from typing import Any

from brownout_demo.figures import fared, fully_restored_at, overload_started_at, quantile, report
from brownout_demo.records import CellMoment, Flip, Moment, Outcome, Record, ScalerMoment, Scaling
from brownout_demo.schedule import Group
from brownout_demo.story import tell

IMAGES, VIDEO = "image-generation", "video-generation"
NEW = "new-accounts"


def flip(
    at: float,
    feature: str,
    cohort: str,
    start: tuple[str, int],
    end: tuple[str, int],
    *,
    down: bool,
    tier: str = "free",
) -> Flip:
    return Flip(at, feature, tier, cohort, start[0], start[1], end[0], end[1], down, "Capacity", "image is full")


def down(at: float, feature: str, cohort: str, start: str, end: str, percent: int = 100, *, tier: str = "free") -> Flip:
    return flip(at, feature, cohort, (start, 100), (end, percent), down=True, tier=tier)


def up(at: float, feature: str, cohort: str, start: str, end: str, percent: int = 100) -> Flip:
    return flip(at, feature, cohort, (start, 100), (end, percent), down=False)


def moment(at: float, *, held: int = 12, demanded: int = 20, whole: bool = True) -> Moment:
    scaler = ScalerMoment("image", 8, 0, 8, demanded, 100, "")
    cell = CellMoment(IMAGES, "free", NEW, "full" if whole else "lite", 100, whole, "", "")
    return Moment(at, 12, held, 100, True, "3/8", (scaler,), (cell,))


GOOD_FLIPS = (
    down(100, VIDEO, NEW, "full", "denied"),
    down(100, VIDEO, "", "full", "denied"),
    down(100, IMAGES, NEW, "full", "lite"),
    down(105, IMAGES, "", "full", "lite"),
    down(110, IMAGES, NEW, "lite", "denied"),
    up(250, IMAGES, NEW, "denied", "lite", 50),
    up(256, IMAGES, "", "lite", "full"),
    up(260, IMAGES, NEW, "lite", "full"),
    up(290, VIDEO, "", "denied", "full"),
    up(290, VIDEO, NEW, "denied", "full"),
)
GOOD_SCALINGS = (Scaling(300, "image", 8, 3, "Demand", "", own_cells_shed=False),)


def outcomes(seconds: float = 4.0) -> list[Outcome]:
    return [Outcome(at, Group(IMAGES, tier), "served", seconds) for at in range(0, 360, 2) for tier in ("pro", "plus")]


def record(
    flips: Iterable[Flip] = GOOD_FLIPS, scalings: Iterable[Scaling] = GOOD_SCALINGS, seconds: float = 4.0, **last: Any
) -> Record:
    return Record(
        minutes=6.0,
        outcomes=outcomes(seconds),
        flips=list(flips),
        scalings=list(scalings),
        moments=[moment(90), moment(350, **last)],
    )


def untrue(seen: Record) -> list[str]:
    return [sentence.text for sentence in tell(seen) if not sentence.true]


def test_a_good_run_tells_the_whole_story() -> None:
    assert untrue(record()) == []


def test_a_run_in_which_nothing_happened_tells_nearly_nothing() -> None:
    assert len(untrue(Record(minutes=6.0))) >= 7


def test_images_taken_before_video_are_noticed() -> None:
    wrong = (GOOD_FLIPS[2], *GOOD_FLIPS[:2], *GOOD_FLIPS[3:])

    assert untrue(record(wrong)) == [
        "Video goes from new accounts first, then from the other free users; no image is touched before."
    ]


def test_images_denied_at_once_are_noticed() -> None:
    wrong = (*GOOD_FLIPS[:2], down(100, IMAGES, NEW, "full", "denied"), *GOOD_FLIPS[5:])

    assert "Images are degraded before they are denied." in untrue(record(wrong))


def test_anything_taken_from_pro_is_noticed() -> None:
    wrong = (*GOOD_FLIPS, down(120, IMAGES, "", "full", "lite", tier="pro"), up(300, IMAGES, "", "lite", "full"))

    assert "Chat and pro users are never touched." in untrue(record(wrong))


def test_slow_images_of_paying_users_are_noticed() -> None:
    assert untrue(record(seconds=30.0)) == ["Paying users' images are well again while the flood lasts."]


def test_what_does_not_come_back_is_noticed() -> None:
    assert "When the load falls everything comes back." in untrue(record(whole=False))


def test_video_back_before_images_is_noticed() -> None:
    wrong = (*GOOD_FLIPS[:5], *GOOD_FLIPS[8:], *GOOD_FLIPS[5:8])

    assert "It comes back in reverse order." in untrue(record(wrong))


def test_replicas_that_go_while_their_features_are_away_are_noticed() -> None:
    early = Scaling(200, "image", 8, 7, "Demand", "", own_cells_shed=True)

    assert untrue(record(scalings=(early,))) == [
        "A workload's replicas go only after its own features are back, or to a workload that is short."
    ]


def test_replicas_reclaimed_for_a_workload_that_is_short_are_in_order() -> None:
    moved = Scaling(200, "video", 3, 1, "Reclaimed", "", own_cells_shed=True)

    assert untrue(record(scalings=(*GOOD_SCALINGS, moved))) == []


def test_the_overload_begins_when_more_is_wanted_than_the_pool_has() -> None:
    seen = Record(minutes=6.0, moments=[moment(50, demanded=7), moment(80, demanded=13)])

    assert overload_started_at(seen) == 80


def test_fully_restored_is_the_last_flip_and_only_if_all_is_whole() -> None:
    assert fully_restored_at(record()) == 290
    assert fully_restored_at(record(whole=False)) is None


def test_late_answers_are_served_but_not_within_their_objective() -> None:
    row = fared([Outcome(0, Group(IMAGES, "pro"), "served", 4.0), Outcome(1, Group(IMAGES, "pro"), "served", 9.0)])

    assert row[f"{IMAGES}/pro"] == {
        "offered": 2,
        "served": 2,
        "within_objective": 1,
        "refused": 0,
        "failed": 0,
        "p95_seconds": 9.0,
    }


def test_a_quantile_of_nothing_is_nothing() -> None:
    assert quantile([], 0.95) is None
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_the_report_has_every_field_that_readers_rely_on() -> None:
    content = report(record(), seed=1, story=[])

    assert {
        "overload_started_at",
        "first_shed_at",
        "fully_restored_at",
        "gpus",
        "max_gpus_granted",
        "scale_downs",
        "flips",
        "slo",
        "versions",
    } <= set(content)
    assert content["scale_downs"] == [{"at": 300, "scaler": "image", "from": 8, "to": 3, "reason": "Demand: "}]
    assert set(content["slo"]) == {"before", "during", "after"}
