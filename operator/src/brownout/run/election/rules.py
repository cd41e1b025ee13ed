"""Who may lead, and for how long: the rules of the Lease as pure functions of what was seen and of one's own clock.

Nobody else's clock is believed. Whoever wants the lease counts, by its own clock, from the moment at which it first saw the lease
as it stands, and takes it once that has not changed for as long as the lease lasts. Whoever holds it counts from *before* it sent
the last renewal that was taken, which is earlier than anybody can have seen it. So the holder always gives up first, however wrong
the wall clocks are, and times in the Lease are for people alone. client-go elects in the same way, and says of itself that it does
not fence (tools/leaderelection/doc.go); here the holder also knows how long a write may still be under way.

What is assumed is that clocks run alike: that one second of the one is no more than 1 / CLOCK_RATE seconds of the other.
"""

from msgspec import Struct

CLOCK_RATE = 0.95
"""How much slower one clock may run than another. NTP slews by 0.0005 at most (adjtimex(2)); the rest is for what is not known."""


class TermsError(Exception):
    """The durations do not go together; the message says which, and what to write."""


class Terms(Struct, frozen=True, kw_only=True):
    """How long a lease lasts, how long it may go without a renewal before its holder gives up, and how often either is tried.

    The defaults are those of client-go's users (kube-controller-manager, controller-runtime): 15, 10 and 2 seconds.
    """

    lease_seconds: int = 15
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0

    def check(self) -> None:
        """Raise TermsError where a holder could not renew in time, or could not give up in time."""
        if self.retry_seconds <= 0 or self.renew_deadline_seconds < 2 * self.retry_seconds:
            raise TermsError(
                f"a lease that is renewed every {self.retry_seconds:g} s and given up after {self.renew_deadline_seconds:g} s "
                "has no second try; write a renew deadline of twice the retry or more"
            )
        if self.lease_seconds * CLOCK_RATE <= self.renew_deadline_seconds:
            raise TermsError(
                f"a lease of {self.lease_seconds} s that is given up after {self.renew_deadline_seconds:g} s leaves no time for "
                "a write that is under way; write a lease of one and a half times the renew deadline"
            )


class Lease(Struct, frozen=True, kw_only=True):
    """The Lease as it is stored. `version` is another one after each write. `holder` is empty where it was given back."""

    version: str
    holder: str
    lease_seconds: int
    transitions: int = 0
    acquired_at: str = ""


class Seen(Struct, frozen=True, kw_only=True):
    """What is stored, and since when, by one's own clock, it has been seen just so.

    `held_seconds`: for how long it is somebody's if nothing changes; 0 where it is nobody's.
    """

    lease: Lease | None
    since: float
    held_seconds: float


def see(before: Seen | None, lease: Lease | None, now: float) -> Seen:
    """What is known after a look that was answered at `now`.

    A Lease that somebody deleted while it was held is held until it would have run out: its holder may not know yet.
    """
    if before is not None and _version(before.lease) == _version(lease):
        return before
    if lease is None:
        return Seen(lease=None, since=now, held_seconds=0.0 if before is None else before.held_seconds)
    return Seen(lease=lease, since=now, held_seconds=float(lease.lease_seconds) if lease.holder else 0.0)


def _version(lease: Lease | None) -> str:
    return "" if lease is None else lease.version


def may_take(seen: Seen, me: str, now: float) -> bool:
    """Whether the lease is to be had: nobody's, run out, or one's own by a write whose answer was lost.

    `me` is another one for each process, so that nobody takes what an earlier process of the same pod held.
    """
    if seen.lease is not None and seen.lease.holder == me:
        return True
    return now - seen.since >= seen.held_seconds


class Held(Struct, frozen=True, kw_only=True):
    """A lease of one's own. `confirmed` is the moment before the last write of it that was taken, by one's own clock."""

    lease: Lease
    confirmed: float


def gives_up_at(held: Held, terms: Terms) -> float:
    """When the holder stops to lead if no further renewal is taken."""
    return held.confirmed + terms.renew_deadline_seconds


def seconds_for_a_write(held: Held | None, terms: Terms, now: float) -> float:
    """How long a write that begins now may be under way; 0 where none may begin.

    None begins once the holder has given up, and none lasts beyond the moment at which somebody else may lead.
    """
    if held is None or now >= gives_up_at(held, terms):
        return 0.0
    return max(0.0, held.confirmed + terms.lease_seconds * CLOCK_RATE - now)


def taken(seen: Seen, me: str, terms: Terms, *, wall: str) -> Lease:
    """The Lease to be written in the place of what was seen; `version` is that which it replaces, empty where it is to be made."""
    before = seen.lease
    if before is None:
        return Lease(version="", holder=me, lease_seconds=terms.lease_seconds, acquired_at=wall)
    return Lease(
        version=before.version,
        holder=me,
        lease_seconds=terms.lease_seconds,
        transitions=before.transitions + (before.holder != me),
        acquired_at=wall,
    )


def given_back(lease: Lease) -> Lease:
    """The Lease to be written at a clean end: nobody's, so that nobody has to wait (as client-go's ReleaseOnCancel)."""
    return Lease(
        version=lease.version,
        holder="",
        lease_seconds=1,  # the schema wants more than 0
        transitions=lease.transitions,
        acquired_at=lease.acquired_at,
    )
