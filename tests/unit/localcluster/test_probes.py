"""A probe's verdict changes only after as many equal answers in a row as its thresholds ask for."""

from brownout_localcluster.runner.probes import Tally, Timing


def tally(*, success: int = 1, failure: int = 3, verdict: bool = False) -> Tally:
    return Tally(Timing.of({"successThreshold": success, "failureThreshold": failure}), verdict=verdict)


def verdicts(counted: Tally, answers: str) -> str:
    """The verdict after each answer; both as `+` and `-`."""
    return "".join("+" if (counted.count(answer == "+"), counted.verdict)[1] else "-" for answer in answers)


def test_one_success_makes_ready_and_three_failures_in_a_row_unmake_it() -> None:
    assert verdicts(tally(), "-+--+---+") == "-++++++-+"


def test_a_single_failure_between_successes_changes_nothing() -> None:
    assert verdicts(tally(verdict=True), "+-+-+-+-") == "++++++++"


def test_a_success_threshold_asks_for_successes_in_a_row() -> None:
    assert verdicts(tally(success=2), "+-++") == "---+"


def test_a_threshold_is_reported_again_while_it_lasts() -> None:
    counted = tally(failure=2, verdict=True)
    assert [counted.count(False) for _ in range(4)] == [False, True, True, True]


def test_the_defaults_are_those_of_kubernetes() -> None:
    assert Timing.of({}) == Timing(initial_delay=0, period=10, timeout=1, success_threshold=1, failure_threshold=3)
