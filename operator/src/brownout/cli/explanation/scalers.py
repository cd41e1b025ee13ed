"""Why a scaler has the replicas that it has, what limits it, and what has to happen for it to have others."""

from collections.abc import Iterator

from brownout.api.reasons import Condition, Reason
from brownout.api.scaler import ReplicaCounts
from brownout.cli.explanation.model import Explanation, Need
from brownout.cli.explanation.seen import Seen, StoredScaler, condition, troubles
from brownout.cli.figures import counted, percent
from brownout.decide.recall import deadline


def explain_scaler(seen: Seen, scaler: StoredScaler) -> Explanation:
    """One scaler."""
    status, counts = scaler.status, scaler.status.replicas
    rule, _, because = status.summary.partition(": ")
    limited, _, limited_since = condition(status.conditions, Condition.SCALING_LIMITED)
    changed = status.decisions[-1].at if status.decisions else ""
    needs = tuple(_needs(seen, scaler, rule))
    ready = f"{counted(counts.ready)} ready"
    coming = f"{ready}, {counts.coming} coming" if counts.coming else ready
    return Explanation(
        subject=f"InferenceScaler {scaler.key}",
        has=f"{coming}; {counted(counts.desired)} decided, {_demanded(counts.demanded)}"
        if rule
        else "no decision has been made yet",
        rule=rule,
        because=because,
        since=limited_since if limited == "True" else changed,
        numbers=dict(_numbers(scaler, seen.now)),
        goal=_goal(counts),
        needs=needs,
        expected=status.coming_ready_at,
        history=tuple(
            f"{d.at} {d.from_replicas} -> {d.to_replicas}: {d.rule}: {d.message}" for d in reversed(status.decisions)
        ),
        troubles=troubles(status.conditions),
    )


def _demanded(count: int | None) -> str:
    return "what is demanded is not known" if count is None else f"{count} demanded"


def _goal(counts: ReplicaCounts) -> str:
    if counts.demanded is None or counts.ready is None:
        return "to have another number"
    return "to have what is demanded" if counts.demanded > counts.ready else "to have fewer"


def _numbers(scaler: StoredScaler, now: float) -> Iterator[tuple[str, str]]:
    status, spec = scaler.status, scaler.spec
    demand, learned, memory, counts = status.demand, status.learned, status.memory, status.replicas
    flows = {
        "GPUs asked for": demand.offered,
        "GPUs let through": demand.admitted,
        "GPUs ready": demand.capacity,
        "GPUs short": demand.shortfall if demand.shortfall.strip("0.") else "",
        "GPU-seconds wait": demand.backlog if demand.backlog.strip("0.") else "",
    }
    said = [f"{value} {name}" for name, value in flows.items() if value]
    if not demand.offered and not demand.backlog and not demand.leading_metric:
        said.insert(0, "what is asked for is not known")
    yield "load", ", ".join(said)
    if demand.leading_metric:
        yield (
            "decided by",
            f"metric {demand.leading_metric}" if demand.leading_metric != "flow" else "rates times costs",
        )
    since = f", saturated since {memory.saturated_since}" if memory.saturated_since else ""
    yield "saturation", f"{percent(status.saturation_percent)}{since}"
    bounds = {"obtainable": counts.obtainable, "protected": counts.floor}
    told = "".join(f"{count} {name}, " for name, count in bounds.items() if count is not None)
    yield "replicas", f"{told}{spec.min_replicas} to {spec.max_replicas} allowed"
    if counts.forecast:
        yield "forecast", f"{counts.forecast} replicas' worth by the time that a new one is ready"
    if learned.cost_percent is None:
        yield "cost", "as declared; not learned yet"
    else:
        yield "cost", f"{learned.cost_percent} % of what is declared, off by {learned.cost_error_percent or 0} %"
    if learned.cold_start_p50_seconds:
        slow = (
            f", {learned.cold_start_p95_seconds} s for the slowest of twenty" if learned.cold_start_p95_seconds else ""
        )
        yield "cold start", f"{learned.cold_start_p50_seconds} s{slow}"
    else:
        yield "cold start", f"{spec.cold_start.expected_seconds} s as declared; not learned yet"
    if memory.deficit_since:
        yield "short", f"of its share of the pool since {memory.deficit_since}"
    if status.reclaim.to:
        yield "reclaim", f"it keeps {status.reclaim.keeps} replicas; the rest is to go to {status.reclaim.to}"
    if (deadline(memory.closed_until) or 0.0) > now:
        yield "closed", f"nothing is reclaimed from it until {memory.closed_until}"


def _needs(seen: Seen, scaler: StoredScaler, rule: str) -> Iterator[Need]:
    """What stands between what is there and what is demanded, whatever the last rule was."""
    status, spec, counts = scaler.status, scaler.spec, scaler.status.replicas
    if spec.mode != "Auto":
        yield Need(what="spec.mode is Auto", met=False, found=f"it is {spec.mode}")
    if counts.coming:
        yield Need(what=f"{counts.coming} replicas become ready", met=False, at=status.coming_ready_at)
    if status.limited_by == "maxReplicas":
        yield Need(what="spec.maxReplicas is raised", met=False, found=f"it is {spec.max_replicas}")
    pool = seen.pool_of(scaler.key)
    if counts.demanded is not None and counts.obtainable is not None and counts.demanded > counts.obtainable:
        more = (counts.demanded - counts.obtainable) * (spec.gpus_per_replica or 1)
        had = None if pool is None else pool.status.gpus
        gpus = "" if had is None or had.capacity is None else f"{had.free} of {had.capacity} are free"
        limit = f", limited by {status.limited_by}" if status.limited_by and gpus else ""
        yield Need(what=f"the pool {spec.pool_ref.name} has {more} more GPUs for it", met=False, found=gpus + limit)
    if what := WAITS_FOR.get(rule):
        yield Need(what=what, met=False, found=status.summary.partition(": ")[2])


WAITS_FOR = {
    str(Reason.BEHAVIOR): "behavior allows the next step",
    str(Reason.STABILIZATION): "the stabilization window is over",
    str(Reason.OWN_CELLS_SHED): "its own features are back",
    str(Reason.SURVIVORS_CANNOT_CARRY): "fewer replicas could carry the load",
    str(Reason.HELD): "what its decisions rest on can be read again",
    str(Reason.FALLBACK): "its metrics can be read again",
    str(Reason.NOT_WRITTEN): "the number can be written to the workload",
    str(Reason.CONTESTED): "nobody else scales its workload",
    str(Reason.NOT_FOUND): "what it refers to exists",
    str(Reason.NOT_ADMITTED): "the pool admits its namespace",
    str(Reason.CONFLICT): "it alone scales its workload",
    str(Reason.INVALID): "it can be read",
}
"""What has to happen where a rule keeps replicas as they are; the rule's own sentence says the numbers."""
