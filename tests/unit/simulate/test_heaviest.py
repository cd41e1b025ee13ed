"""Who asks most, in the simulated servers: the reference server's own code is asked the same, and answers the same."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.simulate import heaviest as simulated
from brownout.simulate.heaviest import MOST_CELLS, MOST_NAMED, NOBODY, PANE_SECONDS, PANES, Sketches, count, sketches
from brownout_inference import heaviest as real
from brownout_inference.settings import MOST_HEAVIEST_USERS

Ask = tuple[float, int]
"""So many seconds later, a user."""


@dataclass
class Both:
    """The simulated servers and a real one, asked by the same users at the same moments; user n is of cell n modulo the cells."""

    cells: int
    users: int
    now: float = 0.0
    sketches: Sketches = field(init=False)
    server: real.Heaviest = field(init=False)

    def __post_init__(self) -> None:
        self.sketches = sketches(self.cells, self.users)
        self.server = real.Heaviest(clock=lambda: self.now)

    def ask(self, later: float, user: int) -> None:
        self.now += later
        count(self.sketches, user % self.cells, user, self.now)
        self.server.offered(("feature", f"{user % self.cells}", ""), f"{user:06}")

    def named(self) -> dict[int, list[tuple[int, float]]]:
        """By cell, whom the simulated servers name, and what they ask for."""
        found = simulated.heaviest(self.sketches, self.now, MOST_NAMED)
        pairs = (zip(u, r, strict=True) for u, r in zip(found.users.tolist(), found.rates.tolist(), strict=True))
        return {cell: [one for one in each if one[0] != NOBODY] for cell, each in enumerate(pairs)}

    def agree(self) -> bool:
        own = {cell: each for cell, each in self.named().items() if each}
        theirs = {
            int(cell[1]): [(int(user), rate) for user, rate in users.items()]
            for cell, users in self.server.rates().items()
        }
        return own == theirs


def skewed(most: int) -> Any:
    """Users of whom the first ask far more often than the last."""
    return st.integers(0, most - 1) | st.integers(0, max(0, most // 20)) | st.just(0)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([(1, 8), (1, 200), (3, 200)]))
def test_they_name_whom_the_real_server_names_and_for_as_much(data: st.DataObject, size: tuple[int, int]) -> None:
    cells, users = size
    both = Both(cells, users)
    asks = st.tuples(st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0, 31.0]), skewed(users))
    for later, user in data.draw(st.lists(asks, max_size=400)):
        both.ask(later, user)
    assert both.agree()
    both.now += data.draw(st.sampled_from([0.0, 0.5, 4.5, 20.0, 40.0]))
    assert both.agree()


def test_they_have_the_real_servers_bounds() -> None:
    for bound in ("PANE_SECONDS", "PANES", "COUNTERS", "MOST_CELLS"):
        assert getattr(simulated, bound) == getattr(real, bound)
    assert MOST_NAMED == MOST_HEAVIEST_USERS


def test_a_crowd_of_users_who_never_come_back_hides_nobody() -> None:
    both = Both(1, 100_000)
    for second in range(60):
        for n in range(100):
            both.ask(0.0, 0 if n < 20 else 1 + 80 * second + n)
        both.now += 1.0
    (heaviest, *others) = both.named()[0]
    assert heaviest[0] == 0
    assert heaviest[1] > 16.0
    assert all(rate < 1.0 for _, rate in others)
    assert both.agree()


def test_cells_beyond_the_most_wait_until_others_have_been_quiet() -> None:
    both = Both(MOST_CELLS + 6, MOST_CELLS + 6)
    for cell in range(MOST_CELLS + 6):
        both.ask(0.0, cell)
    assert sum(bool(users) for users in both.named().values()) == MOST_CELLS
    assert both.agree()
    both.ask((PANES + 1) * PANE_SECONDS, MOST_CELLS + 1)
    assert [cell for cell, users in both.named().items() if users] == [MOST_CELLS + 1]
    assert both.agree()


def test_nobody_is_named_where_nobody_may_be() -> None:
    both = Both(2, 10)
    both.ask(0.0, 1)
    assert simulated.heaviest(both.sketches, both.now, 0).users.shape == (2, 0)
