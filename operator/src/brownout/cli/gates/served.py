"""What a cell is served and which part of it a user is in: plan, override, mode, capacity, the user alone, percentage."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from brownout.api.override import ends_at
from brownout.api.policy import CellStatus, FeaturePolicySpec, TierEntry
from brownout.cli.durations import span
from brownout.cli.gates.matches import Person
from brownout.cli.gates.model import Gate, Verdict
from brownout.flags.cells import TURN_SECONDS, TURN_STRIDE, Override, Policy, Share, held_back, in_force, serve
from brownout.flags.outcome import bucket


class Settled(Struct, frozen=True):
    """The variant that the gates come to, the gate that settled it, and all gates that were asked."""

    variant: str
    by: str
    gates: tuple[Gate, ...]
    line: CellStatus | None = None


def settle(policy: Policy, person: Person, *, tier: str, cohort: str, overrides: Sequence[Override]) -> Settled:
    """Ask the gates one after another, until one of them settles it. `overrides`: all of the namespace."""
    own = [word for word in overrides if word.spec.policy_ref.name == policy.key.name]
    standing = in_force(own, person.now)
    share = serve(policy, tier=tier, cohort=cohort, overrides=standing)
    entry = next((entry for entry in policy.spec.tiers if entry.tier_ref.name == tier), None)
    gates = [_plan(entry, tier)]
    if entry is None or entry.availability == "Never":
        return Settled(share.variant, "plan", tuple(gates))
    word = _word(policy, tier, cohort, standing)
    gates.append(_override(policy, own, word, tier=tier, cohort=cohort, now=person.now))
    if word is not None:
        return Settled(share.variant, "override", tuple(gates))
    gates.append(_mode(policy.spec))
    if policy.spec.mode == "Advise":
        return Settled(share.variant, "mode", tuple(gates))
    line = _line(policy, tier, cohort)
    gates.append(_capacity(policy.spec, entry, line, share))
    alone = held_back(policy, tier=tier, cohort=cohort, overrides=standing)
    own_share = next((one for one, users in alone.items() if person.targeting_key in users), None)
    if own_share is not None:
        held = _line(policy, tier, cohort, user=person.targeting_key)
        variant, gate = _alone(own_share, held, person)
        return Settled(variant, "this user alone", (*gates, gate), held)
    if alone:
        gates.append(Gate(name="this user alone", says="yes", found="is not held back; others of this cell are"))
    if share.percent == 100:
        return Settled(share.variant, "capacity", tuple(gates), line)
    variant, gate = _percentage(policy.spec.flag_key, share, person)
    return Settled(variant, "percentage", (*gates, gate), line)


def _plan(entry: TierEntry | None, tier: str) -> Gate:
    if entry is None:
        return Gate(name="plan", says="no", found=f"the policy does not list tier {tier}, which is Never")
    if entry.availability == "Never":
        return Gate(name="plan", says="no", found=f"tier {tier} is Never")
    words = f"tier {tier} is {entry.availability}"
    if entry.availability == "Auto":
        words += f", never below {entry.lowest}" if entry.lowest else ", down to the denial"
    return Gate(name="plan", says="yes", found=words)


def _word(policy: Policy, tier: str, cohort: str, standing: Sequence[Override]) -> Override | None:
    return next((word for word in standing if not _misses(policy, word, tier, cohort)), None)


def _misses(policy: Policy, word: Override, tier: str, cohort: str) -> str:
    """Why an override does not speak of a cell; empty where it does."""
    if word.spec.variant not in [variant.name for variant in policy.spec.variants]:
        return f"is Invalid: there is no variant {word.spec.variant!r}"
    if word.spec.cells and not any(cell.tier == tier and cell.cohort in (None, cohort) for cell in word.spec.cells):
        return f"speaks of {audiences(word)}"
    return ""


def audiences(word: Override) -> str:
    """Of whom an override speaks."""
    cells = (
        f"{cell.tier}/{cell.cohort}"
        if cell.cohort
        else cell.tier
        if cell.cohort is None
        else f"the rest of {cell.tier}"
        for cell in word.spec.cells
    )
    return ", ".join(cells) or "everybody"


def _override(
    policy: Policy, own: Sequence[Override], word: Override | None, *, tier: str, cohort: str, now: float
) -> Gate:
    evidence = []
    for other in own:
        end = ends_at(other.spec, created_at=other.created_at)
        if other is word:
            continue
        if end <= now:
            evidence.append(f"{other.key.name} is over since {_moment(end)}")
        elif missed := _misses(policy, other, tier, cohort):
            evidence.append(f"{other.key.name} {missed}")
        else:
            evidence.append(f"{other.key.name} is older than {word.key.name if word else '?'}")
    if word is None:
        return Gate(name="override", says="yes", found="none is in force for this cell", evidence=tuple(evidence))
    end = ends_at(word.spec, created_at=word.created_at)
    words = (
        f"{word.key.name} gives {audiences(word)} {word.spec.variant} until {_moment(end)} (for {span(end - now)} more)"
    )
    first = word.spec.variant == policy.spec.variants[0].name
    return Gate(
        name="override", says="yes" if first else "no", found=words, evidence=(f"reason: {word.spec.reason}", *evidence)
    )


def _mode(spec: FeaturePolicySpec) -> Gate:
    words = {
        "Auto": "Auto: the loop sheds and restores",
        "Advise": "Advise: the loop only says what it would take; everybody has the first variant",
        "Paused": "Paused: cells stay where they are",
    }
    return Gate(name="mode", says="yes" if spec.mode == "Advise" else "-", found=words[spec.mode])


def _line(policy: Policy, tier: str, cohort: str, user: str = "") -> CellStatus | None:
    lines = policy.status.cells
    return next((line for line in lines if (line.tier, line.cohort, line.user) == (tier, cohort, user)), None)


def _capacity(spec: FeaturePolicySpec, entry: TierEntry, line: CellStatus | None, share: Share) -> Gate:
    first = spec.variants[0].name
    if line is None:
        return Gate(name="capacity", says="yes", found=f"status has no such cell yet, so {first}")
    words = (
        f"{share.variant}" if share.percent == 100 else f"{share.variant} {share.percent} %, {share.otherwise} the rest"
    )
    evidence = list(_told(line))
    if _clamped(entry, line, share, first):
        evidence.append(f"status says {line.variant} {line.percent} %, and the plan allows no less than this")
    says: Verdict = "part" if share.percent < 100 else "yes" if share.variant == first else "no"
    return Gate(name="capacity", says=says, found=words, evidence=tuple(evidence))


def _clamped(entry: TierEntry, line: CellStatus, share: Share, first: str) -> bool:
    lowest = first if entry.availability == "Always" else entry.lowest
    return lowest is not None and share == Share(lowest) and (line.variant, line.percent) != (lowest, 100)


def _told(line: CellStatus) -> Iterator[str]:
    """What the plan said: its rule and its numbers, since when, and what keeps the cell from coming back."""
    if line.reason:
        yield f"{line.reason}: {line.message}" if line.message else line.reason
    if line.since:
        yield f"since {line.since}"
    if line.refused_by:
        yield f"not back yet: {line.refused_by}: {line.refusal}"
    if line.expected_return:
        yield f"expected back {line.expected_return}"


def _alone(share: Share, line: CellStatus | None, person: Person) -> tuple[str, Gate]:
    """A part of one user is a part of the seconds."""
    second = int(person.now)
    turn = second * TURN_STRIDE % TURN_SECONDS
    variant = share.variant if share.percent == 100 or turn < share.percent * TURN_SECONDS / 100 else share.otherwise
    words = f"is held back alone: {share.variant}"
    if share.percent < 100:
        words += f" for {share.percent} % of the seconds, {share.otherwise} for the rest; this one has {variant}"
    return variant, Gate(name="this user alone", says="no", found=words, evidence=tuple(_told(line)) if line else ())


def _percentage(flag_key: str, share: Share, person: Person) -> tuple[str, Gate]:
    if not person.targeting_key:
        words = f"there is no targetingKey to go by, so {share.otherwise}"
        return share.otherwise, Gate(name="percentage", says="no", found=words)
    number = bucket(flag_key + person.targeting_key)
    inside = number < share.percent
    variant = share.variant if inside else share.otherwise
    words = (
        f"targetingKey {person.targeting_key} is number {number} of 0 to 99; "
        f"{share.variant} is for those below {share.percent}, so {variant}"
    )
    evidence = (
        "the number is of this feature and targetingKey, and never changes; a higher percentage only adds users",
    )
    return variant, Gate(name="percentage", says="yes" if inside else "no", found=words, evidence=evidence)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
