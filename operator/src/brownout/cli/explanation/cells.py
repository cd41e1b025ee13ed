"""Why a cell has what it has, and what has to be so for it to come back: the operator's own gate, rule by rule.

The gate is asked on the numbers that status holds: rounded, and a few seconds old. What it said in the operator's last tick
stands in the line itself.
"""

from collections.abc import Iterator, Sequence
from math import inf

from brownout.api.reasons import Condition, Reason
from brownout.api.resources import Key
from brownout.api.scaler import InferenceScalerStatus
from brownout.cli.explanation.model import Explanation, Need
from brownout.cli.explanation.seen import CellSeen, Seen, StoredPolicy, StoredScaler, condition, troubles
from brownout.decide.cells import FIRST, Cell
from brownout.decide.demand import Demand, Flow
from brownout.decide.heavy import remember_seconds
from brownout.decide.memory import ScalerMemory
from brownout.decide.rates import RATE_WINDOW_SECONDS, asked_by_all
from brownout.decide.recall import deadline, rfc3339
from brownout.decide.restore import GATE, Candidate, Refusal, step_that_fits
from brownout.decide.snapshot import Scaler, Workload
from brownout.decide.view import ScalerView, Supply


def explain_policy(seen: Seen, policy: StoredPolicy) -> Explanation:
    """A whole feature: what is taken from whom, a part for each cell that has less than the first variant."""
    first, status = policy.spec.variants[0].name, policy.status
    own = [cell for cell in seen.cells if cell.policy.key == policy.key]
    less = sorted((cell for cell in own if not cell.whole), key=lambda cell: -cell.place)
    has = f"{first} for everybody it is for" if own else "no decision has been made yet"
    shedding, words, since = condition(status.conditions, Condition.SHEDDING)
    return Explanation(
        subject=f"FeaturePolicy {policy.key}",
        has="; ".join(f"{one.audience}: {one.line.overridden_to or _loop(one)}" for one in own if not one.whole) or has,
        rule="Shedding" if shedding == "True" else "",
        because=words if shedding == "True" else "",
        since=since if shedding == "True" else "",
        numbers={"mode": policy.spec.mode, "version": str(status.version)},
        troubles=troubles(status.conditions),
        parts=tuple(explain_cell(seen, cell) for cell in less),
    )


def explain_cell(seen: Seen, one: CellSeen) -> Explanation:
    """One cell."""
    line, spec = one.line, one.policy.spec
    needs = () if one.whole else tuple(_needs(seen, one))
    return Explanation(
        subject=f"FeaturePolicy {one.policy.key} for {_who(one)}",
        has=_has(one),
        rule=line.reason,
        because=line.message,
        since=line.since,
        numbers={"mode": spec.mode, **dict(_numbers(seen, one))},
        goal="to come back",
        needs=needs,
        expected=line.expected_return or _not_before(needs),
        troubles=troubles(one.policy.status.conditions),
    )


def _not_before(needs: Sequence[Need]) -> str:
    """What can be said where the operator expects no moment: when the last thing that it waits for is due, if all are."""
    unmet = [need for need in needs if need.met is False]
    endless = next((need.what for need in unmet if not need.at), "")
    if endless:
        return f"not known: nobody can tell when {endless}"
    return f"not before {max(need.at for need in unmet)}" if unmet else ""


def _who(one: CellSeen) -> str:
    return f"{one.audience} ({one.line.user})" if one.line.user else str(one.audience)


def _has(one: CellSeen) -> str:
    line, loop = one.line, _loop(one)
    if line.overridden_to:
        return f"{line.overridden_to}, by a person's word; without it {loop}"
    return loop if one.whole else f"{loop}, instead of {one.policy.spec.variants[0].name}"


def _loop(one: CellSeen) -> str:
    """What the loop gives it."""
    line, names = one.line, [variant.name for variant in one.policy.spec.variants]
    if line.percent == 100 or line.variant not in names[:-1]:
        return line.variant
    share = f"{line.percent} % of the time" if line.user else f"{line.percent} %"
    return f"{line.variant} for {share}, {names[names.index(line.variant) + 1]} for the rest"


def _numbers(seen: Seen, one: CellSeen) -> Iterator[tuple[str, str]]:
    line = one.line
    if one.place:
        yield "ladder", f"its last rung taken is number {one.place} of the ladder, counted from the first to go"
    if line.offered_before:
        yield "asked for", f"{line.offered_before} requests/s before it was taken"
    if line.refused_by:
        yield "not yet", f"{line.refused_by}: {line.refusal}"
    if line.dwell_seconds and not one.whole:
        yield "dwell", f"{line.dwell_seconds} s" + (f" from {line.last_shed_at}" if line.last_shed_at else "")
    if line.reversals:
        yield "reversals", f"{len(line.reversals)}, the last at {line.reversals[-1]}"
    if one.cell is None:
        yield "cell", "the policy or its tiers no longer have it"


def _needs(seen: Seen, one: CellSeen) -> Iterator[Need]:
    """What has to be so, in the order in which the gate asks."""
    line, mode = one.line, one.policy.spec.mode
    if line.overridden_to:
        yield Need(what="the override ends", met=False, at=line.expected_return)
        if one.memory.level == FIRST:
            return
    if mode != "Auto":
        yield Need(what="spec.mode is Auto", met=False, found=f"it is {mode}")
    if one.cell is None:
        return
    named = {
        Key(one.policy.key.namespace, cost.scaler) for variant in one.policy.spec.variants for cost in variant.costs
    }
    absent = sorted(named - seen.scalers.keys())
    for key in absent:
        yield Need(what=f"InferenceScaler {key} is known", found="it is not among these objects")
    holds = None if absent else True
    candidate = _candidate(seen, one, one.cell)
    for rule in GATE:
        yield _judged(rule.__name__.replace("_", " "), rule(candidate, seen.now), holds=holds)
    if absent:
        return
    unseen = sorted(key.name for key, view in candidate.views.items() if view.demand.admitted is None)
    if unseen:
        yield Need(what="a part of it fits", found=f"what {', '.join(unseen)} carries now is not known")
        return
    outcome = step_that_fits(candidate)
    if line.refused_by == Reason.DOES_NOT_FIT:  # the operator knows more of demand than status holds
        yield Need(what="a part of it fits", met=False, found=line.refusal, at=line.expected_return)
    elif isinstance(outcome, Refusal):
        yield _judged("a part of it fits", outcome, holds=holds)
    else:
        yield Need(what="a part of it fits", met=True, found=f"as far as {one.cell.name(outcome)}")


def _judged(what: str, refusal: Refusal | None, *, holds: bool | None) -> Need:
    if refusal is None:
        return Need(what=what, met=holds)
    at = "" if refusal.until is None else rfc3339(refusal.until)
    return Need(what=what, met=False, found=refusal.message, at=at)


def _candidate(seen: Seen, one: CellSeen, cell: Cell) -> Candidate:
    """The cell as the gate would see it, had it nothing but status."""
    views = {key: view_of(seen.scalers[key]) for key in sorted(cell.loads(one.memory.level)) if key in seen.scalers}
    pools = [pool.spec for key in cell.scalers if (pool := seen.pool_of(key)) is not None]
    spec, held = one.policy.spec, condition(one.policy.status.conditions, Condition.HELD)
    waits = one.line.refusal if one.line.refused_by == Reason.WAITS else ""
    return Candidate(
        cell=cell,
        level=one.memory.level,
        memory=one.memory,
        settings=spec.restore,
        reversals_per_hour=min((pool.shedding.max_reversals_per_cell_per_hour for pool in pools), default=60),
        restore_percent=min((pool.saturation.restore_percent for pool in pools), default=97),
        rate=asked_by_all(
            one.memory,
            None,
            denies=cell.denies(one.memory.level),
            served=cell.let_through(one.memory.level),
            window=RATE_WINDOW_SECONDS,
            now=seen.now,
            remember_seconds=remember_seconds(cell, spec.demand),
        ),
        stale=held[1] if held[0] == "True" else "",
        views=views,
        load={key: inf if (admitted := view.demand.admitted) is None else admitted.mean for key, view in views.items()},
        waiting=dict.fromkeys(views, waits) if waits else {},
    )


def view_of(stored: StoredScaler) -> ScalerView:
    """A scaler as the rules see it, from what its status says."""
    status, demand = stored.status, stored.status.demand
    counts, capacity = status.replicas, _number(demand.capacity)
    measured = round(capacity / counts.ready) if capacity and counts.ready else 1
    gpus = stored.spec.gpus_per_replica or measured
    available, words, _ = condition(status.conditions, Condition.METRICS_AVAILABLE)
    admitted = _number(demand.admitted)
    return ScalerView(
        scaler=Scaler(stored=stored, workload=Workload(replicas=counts.current or 0, gpus_per_replica=gpus)),
        supply=Supply(
            replicas=counts.current or 0,
            gpus=gpus,
            ready=counts.ready or 0,
            coming=counts.coming or 0,
            dead=0,
            coming_ready_at=deadline(status.coming_ready_at),
            by_node={},
        ),
        demand=Demand(
            admitted=None if admitted is None else Flow(admitted),
            backlog=_number(demand.backlog),
            missing=(words,) if available == "False" else (),
        ),
        memory=ScalerMemory(cost_factor=cost_factor(status)),
        saturation=None if status.saturation_percent is None else status.saturation_percent / 100,
        saturated=condition(status.conditions, Condition.SATURATED)[0] == "True",
    )


def cost_factor(status: InferenceScalerStatus) -> float:
    """What a workload's requests cost over what is declared; 1, as declared, until it is learned."""
    percent = status.learned.cost_percent
    return 1.0 if percent is None else percent / 100


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
