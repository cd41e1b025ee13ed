"""Objects to one flag set in flagd's format: pure, and the same bytes for the same objects, so that replicas agree.

Every protocol carries this one set. The denial is a variant with a value and never `state: DISABLED`, for which clients would
serve the code's own default, often true.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from brownout.api.override import ends_at
from brownout.api.resources import Key
from brownout.flags.audience import NOW, REMAINDER, Logic, Tier, by_audience, in_order
from brownout.flags.cells import TURN_SECONDS, TURN_STRIDE, Override, Policy, Share, denials, held_back, in_force, serve
from brownout.flags.depths import Depths, depths
from brownout.flags.quota.allowance import as_metadata

AUDIENCE = "brownout.audience"
"""The reserved flag whose value says who the user is: tier, cohort (empty for the remainder) and priority."""

NOBODY = "nobody"
"""The audience where a namespace has no tiers."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A policy's flag as JSON and how far down its cells are, and what both were made from."""

    policy: Policy
    tiers: tuple[Tier, ...]
    overrides: list[Override]
    content: bytes
    depths: Depths


class FlagSet(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace's flags.

    document: JSON in flagd's format. version: a hash of its content. flags: each flag's part of the document, by key. metadata:
    the set's own. changes_at: Unix seconds at which the same objects make another set, because an override ends; None where none
    is in force. depths: how far down each cell is, to tell whom a newer set takes something from. parts: by policy, what a
    rendering after this one need not do again.
    """

    namespace: str
    document: str
    version: str
    flags: dict[str, bytes]
    metadata: dict[str, Any]
    changes_at: float | None = None
    depths: Depths = {}
    parts: dict[Key, Part] = {}


def render(
    namespace: str,
    *,
    policies: Iterable[Policy],
    tiers: Iterable[Tier],
    overrides: Iterable[Override],
    now: float,
    before: FlagSet | None = None,
) -> FlagSet:
    """The flag set of a namespace at `now` (Unix seconds).

    Where two policies claim a flag key the older one keeps it. A policy cannot claim the reserved key. `before` is a set that
    was rendered earlier: it changes nothing of the result, only the time that it takes.
    """
    known_tiers = in_order(tiers)
    standing = in_force(overrides, now)
    flags = {AUDIENCE: _canonical(_audience_flag(known_tiers))}
    cells: dict[tuple[str, ...], int] = {}
    parts: dict[Key, Part] = {}
    for policy in sorted(policies, key=lambda policy: (policy.created_at, policy.key.name)):
        words = [override for override in standing if override.spec.policy_ref.name == policy.key.name]
        known = before.parts.get(policy.key) if before is not None else None
        part = parts[policy.key] = _part(policy, known_tiers, words, known)
        if policy.spec.flag_key not in flags:
            flags[policy.spec.flag_key] = part.content
            cells |= part.depths
    by_key = b",".join(_canonical(key) + b":" + flags[key] for key in sorted(flags))
    metadata = {"flagSetId": namespace}
    version = hashlib.sha256(_document(by_key, metadata)).hexdigest()[:16]
    metadata["version"] = version
    return FlagSet(
        namespace=namespace,
        document=_document(by_key, metadata).decode(),
        version=version,
        flags=flags,
        metadata=metadata,
        changes_at=min((ends_at(word.spec, created_at=word.created_at) for word in standing), default=None),
        depths=cells,
        parts=parts,
    )


def _part(policy: Policy, tiers: tuple[Tier, ...], overrides: list[Override], known: Part | None) -> Part:
    if known is not None and (known.policy, known.tiers, known.overrides) == (policy, tiers, overrides):
        return known
    return Part(
        policy=policy,
        tiers=tiers,
        overrides=overrides,
        content=_canonical(_feature_flag(policy, tiers, overrides)),
        depths=depths(policy.spec.flag_key, policy, tiers, overrides),
    )


def _document(flags: bytes, metadata: dict[str, str]) -> bytes:
    return b'{"flags":{' + flags + b'},"metadata":' + _canonical(metadata) + b"}"


def _canonical(content: Any) -> bytes:
    return msgspec.json.encode(content, order="deterministic")


def _feature_flag(policy: Policy, tiers: tuple[Tier, ...], overrides: list[Override]) -> dict[str, Any]:
    def outcome(tier: Tier, cohort: str) -> Logic:
        share = serve(policy, tier=tier.key.name, cohort=cohort, overrides=overrides)
        alone = held_back(policy, tier=tier.key.name, cohort=cohort, overrides=overrides)
        return _except(alone, split(share, policy.spec.flag_key))

    variants = {variant.name: variant.value for variant in policy.spec.variants}
    last = policy.spec.variants[-1]
    cohorts = [cohort.name for tier in tiers for cohort in tier.spec.cohorts]
    variants |= dict.fromkeys(denials(policy, cohorts), last.value)
    return _flag(variants, by_audience(tiers, outcome), otherwise=f"{last.name}_plan", metadata=_metadata(policy))


def _audience_flag(tiers: tuple[Tier, ...]) -> dict[str, Any]:
    variants: dict[str, Any] = {NOBODY: {"tier": "", "cohort": REMAINDER, "priority": 0}}
    for tier in tiers:
        for cohort in (REMAINDER, *(cohort.name for cohort in tier.spec.cohorts)):
            value = {"tier": tier.key.name, "cohort": cohort, "priority": tier.spec.priority}
            variants[_audience_name(tier.key.name, cohort)] = value
    rule = by_audience(tiers, lambda tier, cohort: _audience_name(tier.key.name, cohort))
    return _flag(variants, rule, otherwise=NOBODY, metadata={})


def _audience_name(tier: str, cohort: str) -> str:
    """`free`, or `free.new-accounts`. A tier's name may have dots and never an underscore, a cohort's has neither."""
    name = tier.replace(".", "_")
    return f"{name}.{cohort}" if cohort else name


def _flag(variants: dict[str, Any], rule: Logic | None, *, otherwise: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """A flag; `otherwise` is served if the rule came to nothing, which is to fail closed."""
    flag: dict[str, Any] = {"state": "ENABLED", "variants": variants, "defaultVariant": otherwise, "metadata": metadata}
    if isinstance(rule, str):
        flag["defaultVariant"] = rule
    elif rule is not None:
        flag["targeting"] = rule
    return flag


def split(share: Share, flag_key: str) -> Logic:
    """A share as JsonLogic: sticky by `targetingKey`, and the better variant first.

    `fractional` hands out the hash space in the order of its buckets. With the better variant in front a higher percentage
    moves the border outwards: it only ever adds users. The flag's key is hashed along, so that it is not always the same
    users who wait. Without a targetingKey there is nothing to stick to: the lower variant.
    """
    if share.percent == 100:
        return share.variant
    user = {"var": "targetingKey"}
    buckets = [[share.variant, share.percent], [share.otherwise, 100 - share.percent]]
    return {"if": [{"!!": user}, {"fractional": [{"cat": [flag_key, user]}, *buckets]}, share.otherwise]}


def _except(alone: dict[Share, list[str]], rest: Logic) -> Logic:
    """The cell's rule for everybody but those who are held back alone: they get the share under which they are listed.

    By exact equality with the targetingKey, and within their own cell: who changes the tier is held back no more.
    """
    if not alone:
        return rest
    tests = [({"in": [{"var": "targetingKey"}, users]}, by_the_second(share)) for share, users in alone.items()]
    return {"if": [*(part for test in tests for part in test), rest]}


def by_the_second(share: Share) -> Logic:
    """A share of one user as JsonLogic: of whoever asks twenty times a second everybody else's percentage is all or nothing.

    Every evaluation looks at the clock, so what is asked in one second has one answer. `cells.TURN_SECONDS` says which seconds.
    """
    if share.percent == 100:
        return share.variant
    turn: Logic = {"%": [{"*": [NOW, TURN_STRIDE]}, TURN_SECONDS]}
    return {"if": [{"<": [turn, share.percent * TURN_SECONDS / 100]}, share.variant, share.otherwise]}


def _metadata(policy: Policy) -> dict[str, Any]:
    """Words for users, when what they lack is expected back, and where the flag comes from. Strings, numbers and booleans only.

    `notice` is the denial's in the default locale, that of the first notice; `notice_<locale>` in the others; those for a
    lesser variant begin with `notice_degraded`. `expectedReturn_<audience>`, for the names that the audience flag has, is the
    moment that status says. It is no number of seconds to wait: that would make another set of the same objects each second.
    `decision` is the id of the operator's tick that made what is served: its log has it on every line.
    `quota_<tier>` and what goes with it say how many units a user of that tier has; `quota.allowance` reads them.
    """
    metadata: dict[str, Any] = {"policy": policy.key.name, "policyVersion": policy.status.version}
    if policy.status.decision:
        metadata["decision"] = policy.status.decision
    for notice in policy.spec.notices:
        key = "notice" if notice.when == "Denied" else "notice_degraded"
        if notice.locale == policy.spec.notices[0].locale:
            metadata.setdefault(key, notice.text)
        metadata.setdefault(f"{key}_{notice.locale}", notice.text)
    for cell in policy.status.cells:
        if cell.expected_return and not cell.user:
            metadata[f"expectedReturn_{_audience_name(cell.tier, cell.cohort)}"] = cell.expected_return
    for entry in policy.spec.tiers:
        if entry.quota is not None and entry.availability != "Never":
            metadata |= as_metadata(entry.quota, _audience_name(entry.tier_ref.name, REMAINDER))
    return metadata
