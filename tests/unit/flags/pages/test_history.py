"""What numbers have been."""

from brownout.flags.pages.history import MOST_POINTS, Ring


def test_a_point_is_kept_where_a_number_changes() -> None:
    ring = Ring(("a", "b"))
    ring.add(1.0, {"a": 1, "b": None})
    ring.add(2.0, {"a": 1, "b": None})
    ring.add(3.0, {"a": 2, "b": 0.5})
    assert ring.after(0.0) == {"t": [1.0, 3.0], "a": [1.0, 2.0], "b": [None, 0.5]}


def test_only_what_is_later_is_sent() -> None:
    ring = Ring(("a",))
    for at in range(5):
        ring.add(float(at), {"a": at})
    assert ring.after(2.0) == {"t": [3.0, 4.0], "a": [3.0, 4.0]}
    assert ring.after(4.0) == {"t": [], "a": []}


def test_a_history_is_bounded_and_keeps_the_newest() -> None:
    ring = Ring(("a",))
    for at in range(5000):
        ring.add(float(at), {"a": at})
    assert len(ring) <= MOST_POINTS
    assert ring.after(4997.0) == {"t": [4998.0, 4999.0], "a": [4998.0, 4999.0]}


def test_a_clock_that_jumps_back_makes_no_history_go_back() -> None:
    ring = Ring(("a",))
    ring.add(10.0, {"a": 1})
    ring.add(5.0, {"a": 2})
    assert ring.after(0.0)["t"] == [10.0, 10.0]
