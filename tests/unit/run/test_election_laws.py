"""However wrong clocks are and however long processes stop, no two operators have writes under way at once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.run.election.rules import Terms
from support.election_simulation import Simulation, overlaps

TERMS = st.sampled_from(
    [Terms(), Terms(lease_seconds=4, renew_deadline_seconds=2.5, retry_seconds=0.5), Terms(lease_seconds=60)]
)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), terms=TERMS, candidates=st.integers(2, 4))
def test_no_two_have_writes_under_way_at_once(seed: int, terms: Terms, candidates: int) -> None:
    assert overlaps(Simulation(seed, terms, candidates).run().writes) == []


def test_the_simulation_has_hand_overs_and_writes_in_it() -> None:
    runs = [Simulation(seed, Terms(), 3).run() for seed in range(30)]
    assert sum(run.leaders for run in runs) > 100
    assert sum(len(run.writes) for run in runs) > 1000


def test_the_simulation_notices_who_believes_in_a_lease_for_too_long() -> None:
    assert any(overlaps(Simulation(seed, Terms(), 3, confidence=1.5).run().writes) for seed in range(100))
