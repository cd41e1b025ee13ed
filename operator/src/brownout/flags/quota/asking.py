"""A request to the ledger, read from what a stranger sends: who it is, what the policy allows, which account and reservation."""

import re
import secrets
from datetime import date, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from brownout.flags.context import INVALID_CONTEXT, PARSE_ERROR, BadContextError
from brownout.flags.evaluate import Evaluator, Failure
from brownout.flags.quota.allowance import Allowance, allowance_of
from brownout.flags.quota.days import Day, day_of, zone_of
from brownout.flags.quota.ledger import Account
from brownout.flags.render import AUDIENCE

LONGEST_USER = 256
TTL_SECONDS, LONGEST_TTL_SECONDS = 900, 86_400
"""How long a reservation stays open unless the request says otherwise, and at most."""

_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_RESERVATION = re.compile(r"(\d{4}-\d\d-\d\d)\.([A-Za-z0-9_-]{16,64})")
_DAYS_KEPT = 3
"""A reservation ends at the latest a day after it was made, on a day that may be one ahead of UTC's or one behind."""


class UnknownFeatureError(Exception):
    """No flag of that name is served."""


class Asked(Struct, frozen=True, kw_only=True):
    """Who asks for what. allowance: None where the tier has no quota, and then the day is UTC's."""

    user: str
    tier: str
    allowance: Allowance | None
    day: Day


class Wish(msgspec.Struct, frozen=True, rename="camel"):
    """What a body says beside its context. ttl_seconds: a whole number; JSON has but one kind of numbers, and may write it 60.0."""

    reservation: str | None = None
    ttl_seconds: float = float(TTL_SECONDS)


BESIDE_CONTEXT = frozenset({"reservation", "ttlSeconds"})
"""What a body says beside its context."""


def wish_of(body: bytes) -> Wish:
    """Reads what the body of a request says. Raises BadContextError, naming the field."""
    try:
        wish = msgspec.json.decode(body or b"{}", type=Wish)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise BadContextError(INVALID_CONTEXT, f"{path.rstrip('`') or 'body'}: {message}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadContextError(PARSE_ERROR, f"body: {error}") from None
    if not (1 <= wish.ttl_seconds <= LONGEST_TTL_SECONDS and wish.ttl_seconds.is_integer()):
        sentence = f"ttlSeconds: {wish.ttl_seconds:g} is not a whole number from 1 to {LONGEST_TTL_SECONDS}"
        raise BadContextError(INVALID_CONTEXT, sentence)
    return wish


def asked(evaluator: Evaluator, feature: str, context: dict[str, Any], *, now: float) -> Asked:
    """Who asks, by the flags that everybody is served from. Raises UnknownFeatureError, BadContextError."""
    flag = evaluator.evaluate(feature, context)
    if feature == AUDIENCE or (isinstance(flag, Failure) and flag.error_code == "FLAG_NOT_FOUND"):
        raise UnknownFeatureError(f"no flag {feature[:100]!r} is served")
    audience = evaluator.evaluate(AUDIENCE, context)
    for found in (flag, audience):
        if isinstance(found, Failure):
            raise BadContextError(found.error_code, found.error_details)
    assert not isinstance(flag, Failure)
    assert not isinstance(audience, Failure)
    tier = str(audience.value["tier"])
    allowance = allowance_of(flag.metadata, tier)
    day = day_of(now, zone_of(context, allowance.zone_key if allowance else None))
    return Asked(user=_user(context, counted=allowance is not None), tier=tier, allowance=allowance, day=day)


def _user(context: dict[str, Any], *, counted: bool) -> str:
    user = context.get("targetingKey") or ""
    if counted and not user:
        raise BadContextError("TARGETING_KEY_MISSING", "context.targetingKey: missing; use is counted for each user")
    if len(user) > LONGEST_USER:
        raise BadContextError(INVALID_CONTEXT, f"context.targetingKey: longer than {LONGEST_USER} characters")
    return str(user)


def new_reservation(wish: Wish, day: Day) -> str:
    """A reservation's name: the day that it counts for, and a secret; whoever knows it may end it.

    The secret is the one that the request proposes, so that it may be sent again, or a new one. Raises BadContextError.
    """
    if wish.reservation is not None and not _NONCE.fullmatch(wish.reservation):
        sentence = "reservation: propose 16 to 64 random letters, digits, '-' and '_', or leave it out"
        raise BadContextError(INVALID_CONTEXT, sentence)
    return f"{day.date}.{wish.reservation or secrets.token_urlsafe(18)}"


def reserved(wish: Wish, day: Day) -> tuple[str, str]:
    """The reservation in a request, and the date it counts for, which may be yesterday's. Raises BadContextError."""
    found = _RESERVATION.fullmatch(wish.reservation or "")
    try:
        made_for = date.fromisoformat(found[1]) if found else None
    except ValueError:
        made_for = None
    if found is None or made_for is None or abs(made_for - date.fromisoformat(day.date)) > timedelta(days=_DAYS_KEPT):
        raise BadContextError(INVALID_CONTEXT, "reservation: write the one that reserve answered with")
    return found[0], made_for.isoformat()


def account_of(namespace: str, feature: str, user: str, day: Day, *, date: str) -> Account:
    """The account of a date, kept for as long as a reservation of it may be open."""
    keep_until = day.resets_at + _DAYS_KEPT * 86_400
    return Account(namespace=namespace, feature=feature, user=user, date=date, keep_until=keep_until)
