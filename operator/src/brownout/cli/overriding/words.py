"""What an override changes and what it stands above, in sentences."""

from collections.abc import Iterable, Iterator, Sequence

from brownout.api.override import ends_at
from brownout.api.policy import CellStatus
from brownout.cli.durations import span
from brownout.cli.failure import failed
from brownout.cli.gates.served import audiences
from brownout.cli.overriding.request import rfc3339
from brownout.flags.cells import Override, Policy, in_force


def changed(word: Override, policy: Policy, others: Iterable[Override], *, now: float) -> Iterator[str]:
    """What a new override changes: of whom, to what, until when; what they have now; what it stands above."""
    end = ends_at(word.spec, created_at=word.created_at)
    until = f"until {rfc3339(end)} (in {span(end - now)})"
    yield f"{policy.key.name} for {audiences(word)}: {word.spec.variant} {until}"
    had = [f"{_who(line)} has {_has(policy, line)}" for line in _lines(policy, word)]
    if had:
        yield f"before: {'; '.join(had)}"
    for other in in_force(others, now):
        if other.spec.policy_ref.name == policy.key.name and meets(word, other):
            until = rfc3339(ends_at(other.spec, created_at=other.created_at))
            yield f"it stands above {other.key.name} ({audiences(other)}: {other.spec.variant} until {until}), which is older"
    if policy.spec.mode == "Advise":
        yield "the policy's mode is Advise: a person's word counts all the same"


def left(policy: Policy, ended: Sequence[Override], others: Iterable[Override], *, now: float) -> Iterator[str]:
    """What decides once these overrides are gone: another one, or the loop."""
    gone = {word.key for word in ended}
    standing = [word for word in in_force(others, now) if word.key not in gone]
    for word in ended:
        beneath = [one for one in standing if one.spec.policy_ref.name == policy.key.name and meets(word, one)]
        if beneath:
            until = rfc3339(ends_at(beneath[0].spec, created_at=beneath[0].created_at))
            yield f"{policy.key.name} for {audiences(word)}: {beneath[0].key.name} still gives {beneath[0].spec.variant} until {until}"
        else:
            loop = [f"{_who(line)} has {_level(policy, line)}" for line in _lines(policy, word)]
            yield f"{policy.key.name} for {audiences(word)}: the loop's again" + (
                f"; {'; '.join(loop)}" if loop else ""
            )


def to_end(
    name: str,
    policies: Sequence[Policy],
    overrides: Sequence[Override],
    *,
    tiers: Sequence[str],
    now: float,
    namespace: str,
) -> list[Override]:
    """The override of this name, or those in force of the feature of this name. Raises CommandError, saying which there are."""
    if named := [word for word in overrides if word.key.name == name and not tiers]:
        return named
    keys = {policy.key.name for policy in policies if name in (policy.key.name, policy.spec.flag_key)}
    standing = in_force(overrides, now)
    found = [w for w in standing if w.spec.policy_ref.name in keys | {name} and _of_tiers(w, tiers)]
    if not found:
        there = ", ".join(f"{word.key.name} (of {word.spec.policy_ref.name})" for word in standing)
        of = f" for {', '.join(tiers)}" if tiers else ""
        raise failed(
            f"no override {name!r}, and none of a feature of that name{of}, is in force in {namespace}; "
            + (f"there are: {there}" if there else "no other is either; write -n if it is in another namespace")
        )
    return found


def _of_tiers(word: Override, tiers: Sequence[str]) -> bool:
    """Whether an override speaks of these tiers and no others; of any where none is named."""
    own = {cell.tier for cell in word.spec.cells}
    return not tiers or (bool(own) and own <= set(tiers))


def _lines(policy: Policy, word: Override) -> list[CellStatus]:
    cells = word.spec.cells
    return [
        line
        for line in policy.status.cells
        if not line.user
        and (not cells or any(cell.tier == line.tier and cell.cohort in (None, line.cohort) for cell in cells))
    ]


def meets(one: Override, other: Override) -> bool:
    """Whether two overrides speak of a common cell."""
    if not one.spec.cells or not other.spec.cells:
        return True
    return any(
        a.tier == b.tier and (a.cohort is None or b.cohort is None or a.cohort == b.cohort)
        for a in one.spec.cells
        for b in other.spec.cells
    )


def _who(line: CellStatus) -> str:
    return f"{line.tier}/{line.cohort}" if line.cohort else line.tier


def _has(policy: Policy, line: CellStatus) -> str:
    return f"{line.overridden_to} by override" if line.overridden_to else _level(policy, line)


def _level(policy: Policy, line: CellStatus) -> str:
    names = [variant.name for variant in policy.spec.variants]
    if line.percent == 100 or line.variant not in names[:-1]:
        return line.variant
    return f"{line.variant} {line.percent} %, {names[names.index(line.variant) + 1]} {100 - line.percent} %"
