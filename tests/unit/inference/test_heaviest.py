"""Who asks most: what is counted, what is sure, and what it costs in labels and memory."""

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.heaviest import COUNTERS, MOST_CELLS, PANE_SECONDS, PANES, Heaviest, SpaceSaving
from brownout_inference.metrics import Meters

FREE = ("image-generation", "free", "")


@dataclass
class Time:
    now: float = 1000.0
    heaviest: Heaviest = field(init=False)

    def __post_init__(self) -> None:
        self.heaviest = Heaviest(clock=lambda: self.now)

    def asks(self, seconds: float, **rates: float) -> None:
        """So many requests a second of each user, for so long."""
        for second in range(round(seconds)):
            self.now += 1.0
            for user, rate in rates.items():
                for _ in range(round(rate * (second + 1)) - round(rate * second)):
                    self.heaviest.offered(FREE, user)

    def rates(self) -> dict[str, float]:
        return self.heaviest.rates().get(FREE, {})


@given(st.lists(st.integers(0, 60).map(str)), st.integers(1, 40))
def test_a_count_that_is_sure_is_never_too_high_and_misses_at_most_the_sketchs_share(
    names: list[str], counters: int
) -> None:
    sketch = SpaceSaving(counters)
    for name in names:
        sketch.add(name)
    true, sure = Counter(names), dict(sketch.sure())
    assert len(sure) <= counters
    assert all(count <= true[name] for name, count in sure.items())
    assert all(name in sure for name, count in true.items() if count > len(names) / counters)


def test_a_steady_user_has_the_steady_rate() -> None:
    time = Time()
    time.asks(120, ana=5, ben=1)
    assert abs(time.rates()["ana"] - 5.0) < 0.2
    assert abs(time.rates()["ben"] - 1.0) < 0.1


def test_a_burst_is_seen_within_seconds_and_gone_within_the_window() -> None:
    time = Time()
    time.asks(60, ben=1)
    time.asks(10, ana=20, ben=1)
    assert time.rates()["ana"] > 5.0
    time.asks(PANES * PANE_SECONDS, ben=1)
    assert "ana" not in time.rates()


def test_five_users_at_most_are_named_and_the_heaviest_of_them_first() -> None:
    time = Time()
    time.asks(60, **{f"u{n}": n for n in range(1, 9)})
    assert list(time.rates()) == ["u8", "u7", "u6", "u5", "u4"]


def test_users_who_change_their_name_with_each_request_hide_nobody_and_take_no_memory() -> None:
    time, names = Time(), random.Random(7)
    for _ in range(60):
        time.now += 1.0
        for n in range(100):
            time.heaviest.offered(FREE, "ana" if n < 20 else f"{names.random()}")
    assert time.rates()["ana"] > 16.0
    assert sum(rate for user, rate in time.rates().items() if user != "ana") < 1.0
    (panes,) = time.heaviest._cells.values()
    assert len(panes) <= PANES
    assert all(len(list(pane.counts.sure())) <= COUNTERS for pane in panes)


def test_cells_are_bounded_and_one_that_has_been_quiet_makes_room() -> None:
    time = Time()
    for n in range(MOST_CELLS + 10):
        time.heaviest.offered(("f", f"t{n}", ""), "ana")
    assert len(time.heaviest.rates()) == MOST_CELLS
    time.now += (PANES + 1) * PANE_SECONDS
    time.heaviest.offered(("f", "new", ""), "ana")
    assert list(time.heaviest.rates()) == [("f", "new", "")]


def test_the_metric_names_feature_tier_cohort_and_user() -> None:
    meters, now = Meters("image"), 100.0
    meters.name_heaviest(5, clock=lambda: now)
    meters.offered("image-generation", "free", "", "ana")
    meters.offered("image-generation", "free", "", None)
    (line,) = [
        line for line in meters.page().decode().splitlines() if line.startswith("brownout_feature_heaviest_requests")
    ]
    assert line.startswith(
        'brownout_feature_heaviest_requests_per_second{cohort="",feature="image-generation",tier="free",user="ana"} 0.03'
    )


def test_nobody_is_named_unless_asked_for() -> None:
    meters = Meters("image")
    meters.offered("image-generation", "free", "", "ana")
    assert "ana" not in meters.page().decode()
