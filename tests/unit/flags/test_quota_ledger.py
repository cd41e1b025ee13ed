"""What any ledger must do, in memory in virtual time; tests/flags has Redis do the same."""

import pytest

from brownout.flags.quota.ledger import (
    MOST_REMEMBERED,
    REMEMBER_SECONDS,
    Account,
    LedgerUnavailableError,
    MemoryLedger,
    Outcome,
)

TTL = 60.0
MIDNIGHT = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def account(user: str = "ana", **more: str) -> Account:
    named = {"namespace": "media", "feature": "image-generation", "date": "2026-11-27"} | more
    return Account(user=user, keep_until=MIDNIGHT, **named)


ANA = account()


class Book:
    """A ledger whose clock stands still until a test moves it."""

    def __init__(self, *, most: int = 100) -> None:
        self.clock = Clock()
        self.ledger = MemoryLedger(clock=self.clock, most=most)

    async def reserve(self, name: str, *, limit: int = 2, of: Account = ANA) -> Outcome:
        return (await self.ledger.reserve(of, name, limit=limit, ttl_seconds=TTL)).outcome

    async def commit(self, name: str) -> tuple[Outcome, int]:
        entry = await self.ledger.commit(ANA, name)
        return entry.outcome, entry.used

    async def refund(self, name: str) -> tuple[Outcome, int]:
        entry = await self.ledger.refund(ANA, name)
        return entry.outcome, entry.used


async def test_open_reservations_count_as_used() -> None:
    book = Book()
    assert [await book.reserve(name) for name in "abc"] == [Outcome.RESERVED, Outcome.RESERVED, Outcome.REFUSED]


async def test_a_refused_reservation_costs_nothing() -> None:
    book = Book()
    for name in "abcd":
        await book.reserve(name)
    await book.refund("a")
    assert await book.reserve("e") is Outcome.RESERVED


async def test_the_same_reservation_made_twice_takes_one_unit() -> None:
    book = Book()
    assert [await book.reserve("a") for _ in range(3)] == [Outcome.RESERVED] * 3
    assert await book.reserve("b") is Outcome.RESERVED


async def test_a_double_commit_counts_once() -> None:
    book = Book()
    await book.reserve("a")
    assert [await book.commit("a") for _ in range(3)] == [(Outcome.COMMITTED, 1)] * 3


async def test_a_double_refund_gives_one_unit_back() -> None:
    book = Book()
    await book.reserve("a")
    await book.reserve("b")
    assert [await book.refund("a") for _ in range(2)] == [(Outcome.REFUNDED, 0)] * 2
    assert [await book.reserve("c"), await book.reserve("d")] == [Outcome.RESERVED, Outcome.REFUSED]


async def test_what_is_committed_cannot_be_refunded_nor_the_other_way_round() -> None:
    book = Book()
    await book.reserve("a")
    await book.reserve("b")
    await book.commit("a")
    await book.refund("b")
    assert await book.refund("a") == (Outcome.CLOSED, 1)
    assert await book.commit("b") == (Outcome.CLOSED, 1)


async def test_what_was_never_reserved_is_neither_counted_nor_given_back() -> None:
    book = Book()
    assert await book.commit("a") == (Outcome.CLOSED, 0)
    assert await book.refund("a") == (Outcome.CLOSED, 0)


async def test_a_reservation_that_has_ended_is_not_made_again() -> None:
    book = Book()
    await book.reserve("a")
    await book.refund("a")
    assert await book.reserve("a") is Outcome.CLOSED


async def test_a_reservation_that_is_never_committed_gives_its_unit_back() -> None:
    book = Book()
    await book.reserve("a", limit=1)
    refused = await book.ledger.reserve(ANA, "b", limit=1, ttl_seconds=TTL)
    assert (refused.outcome, refused.until) == (Outcome.REFUSED, 1000.0 + TTL)
    book.clock.now += TTL
    assert await book.reserve("b", limit=1) is Outcome.RESERVED
    assert await book.commit("a") == (Outcome.CLOSED, 0)


async def test_a_used_up_day_says_that_nothing_comes_back_before_it_ends() -> None:
    book = Book()
    await book.reserve("a", limit=1)
    await book.commit("a")
    assert (await book.ledger.reserve(ANA, "b", limit=1, ttl_seconds=TTL)).until is None


async def test_a_user_who_is_upgraded_has_the_new_limit_less_what_was_used() -> None:
    book = Book()
    for name in "ab":
        await book.reserve(name, limit=2)
        await book.commit(name)
    assert await book.reserve("c", limit=2) is Outcome.REFUSED
    assert [await book.reserve(name, limit=4) for name in "def"] == [
        Outcome.RESERVED,
        Outcome.RESERVED,
        Outcome.REFUSED,
    ]


@pytest.mark.parametrize("other", [{"user": "bob"}, {"feature": "chat"}, {"namespace": "docs"}, {"date": "2026-11-28"}])
async def test_users_features_namespaces_and_days_are_counted_apart(other: dict[str, str]) -> None:
    book = Book()
    await book.reserve("a", limit=1)
    assert await book.reserve("b", limit=1, of=account(**other)) is Outcome.RESERVED


async def test_it_is_known_for_an_hour_how_a_reservation_ended() -> None:
    book = Book()
    await book.reserve("a")
    await book.commit("a")
    book.clock.now += REMEMBER_SECONDS
    assert await book.commit("a") == (Outcome.CLOSED, 1)


async def test_who_reserves_and_refunds_without_end_has_only_the_last_ends_remembered() -> None:
    book = Book()
    for number in range(MOST_REMEMBERED + 1):
        await book.reserve(str(number))
        await book.refund(str(number))
    assert await book.refund("0") == (Outcome.CLOSED, 0)
    assert await book.refund("1") == (Outcome.REFUNDED, 0)


async def test_an_account_is_forgotten_after_its_day() -> None:
    book = Book(most=1)
    await book.reserve("a")
    with pytest.raises(LedgerUnavailableError, match="more than 1 accounts"):
        await book.reserve("b", of=account("bob"))
    book.clock.now = MIDNIGHT
    assert await book.reserve("b", of=account("bob", date="2026-11-28")) is Outcome.RESERVED


async def test_asking_about_accounts_that_do_not_exist_makes_none() -> None:
    book = Book(most=1)
    for user in "abc":
        await book.ledger.commit(account(user), "x")
    assert await book.reserve("a") is Outcome.RESERVED


def test_an_accounts_key_does_not_tell_whose_it_is() -> None:
    assert "ana" not in ANA.key
    assert account("a", feature="b").key != account("ab", feature="").key
