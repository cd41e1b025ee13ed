"""Demand of a scaler, as a flow in GPU-seconds a second (that is, in GPUs kept busy).

Flow first: what users ask for, times what the best variant that they may have costs. A queue is worked off in a stated
time, so 400 waiting behind ten replicas is a little more flow for a while, not forty times the load. Rates are counts, and
counts are noisy: the flow is widened by its own counting noise, upwards where replicas are planned, downwards where
something is taken from users.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil, sqrt

from msgspec import Struct

from brownout.api.scaler import InferenceScalerSpec, Metric
from brownout.api.schema import number
from brownout.decide.cells import Cell
from brownout.decide.evidence import Evidence, Missing, Sample, fresh
from brownout.decide.outcome import CellKey
from brownout.decide.rates import RATE_WINDOW_SECONDS
from brownout.decide.snapshot import Audience, Policy, Scaler

NOISE_Z = 1.0
"""Standard deviations by which a flow is widened upwards, where replicas are planned."""

DOUBT_Z = 2.0
"""Standard deviations by which it is widened downwards, where something is taken from users: they have the benefit of the
doubt. With one, three GPUs of long requests that are 70 % full would be shed every few hours on noise alone."""

HEALTHY_QUEUE = 0.2
"""A queue may hold this share of its objective without telling of a shortage."""

FEW_REQUESTS = 5.0
"""Of fewer requests in a window there may be none, and then a percentile of them is not a number."""

HPA_TOLERANCE = 0.1
"""The HPA leaves replicas alone within 10 % of the target (Kubernetes, horizontal pod autoscaling, algorithm details)."""


class Flow(Struct, frozen=True, gc=False):
    """GPU-seconds a second: the mean, and one standard deviation of its counting noise."""

    mean: float = 0.0
    noise: float = 0.0

    @property
    def upper(self) -> float:
        return self.mean + NOISE_Z * self.noise

    def gpus(self, percent: int) -> float:
        """GPUs that it fills so far on average, and not beyond full where it is more than was counted.

        The headroom is there for noise: a flow that is widened by its noise as well would have it twice.
        """
        return max(self.mean * 100 / percent, self.upper)

    @property
    def lower(self) -> float:
        return max(0.0, self.mean - DOUBT_Z * self.noise)


class Flows(Struct, frozen=True, kw_only=True, gc=False):
    """The flows of a scaler's cells: all that is asked for; what it carries; what may never be taken; and, by descending
    tier priority, what that tier and those above it ask for with the others at their lowest; `steps`, where some of that is of
    no use yet (`Cell.within_reach`): by tier what it can use now with all of those above it, and in the end. `requests` a second are let
    through to it; `dearest`: GPU-seconds of the largest of them.
    """

    offered: Flow
    carried: Flow
    floor: Flow
    tiers: tuple[tuple[int, Flow], ...]
    steps: tuple[tuple[int, Flow, Flow], ...] = ()
    requests: float
    dearest: float


Load = tuple[float, float]
"""GPU-seconds a second, and the variance of their counting noise."""

NOTHING: Load = (0.0, 0.0)


class Demand(Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a scaler's demand.

    `offered`, `admitted`, `floor`: flows (floor: of what may never be taken), None without any flow evidence.
    `backlog`: GPU-seconds waiting. `load_replicas`: what Load metrics ask for, by the HPA's formula. `missing`: sentences
    of all that could not be read. `objective_ratio`: the worst objective over its target. `flow_whole`, `backlog_whole`: no
    part of it could not be read; else it is a lower bound.
    """

    offered: Flow | None = None
    admitted: Flow | None = None
    floor: Flow | None = None
    backlog: float | None = None
    load_replicas: int | None = None
    load_metric: str = ""
    tiers: tuple[tuple[int, Flow], ...] = ()
    steps: tuple[tuple[int, Flow, Flow], ...] = ()
    objective_ratio: float | None = None
    busy: float | None = None
    dearest: float = 0.0
    missing: tuple[str, ...] = ()
    flow_whole: bool = True
    backlog_whole: bool = True

    def excess_backlog(self, capacity: float, spec: InferenceScalerSpec) -> float:
        """GPU-seconds waiting beyond what a healthy queue holds: a fifth of its objective's worth, at least a second's."""
        return max(0.0, (self.backlog or 0.0) - capacity * max(1.0, spec.queue.objective_seconds * HEALTHY_QUEUE))

    @property
    def known(self) -> bool:
        """Whether anything at all says how much is asked for."""
        return self.offered is not None or self.load_replicas is not None or self.backlog is not None

    @property
    def planned(self) -> Flow | None:
        """The flow that replicas are planned for: what is asked for, or what there is now where that is more.

        A workload that serves a lesser variant alone is asked for nothing, and carries all who were sent down to it.
        """
        if self.offered is None or self.admitted is None:
            return self.offered
        return max(self.offered, self.admitted, key=lambda flow: flow.upper)


def load(rate: float, each: float, counted: float) -> Load:
    """What so many requests a second load a workload with, at so many GPU-seconds each: the mean, and its variance.

    A Poisson count in which each request weighs its cost: of a rate that was `counted` over so many seconds the variance is
    rate * cost^2 / counted.
    """
    return (rate * each, rate * each * each / counted) if rate and each else NOTHING


def flow_of(one: Load) -> Flow:
    """A load as a flow."""
    return Flow(one[0], sqrt(one[1]))


def total(loads: Iterable[Load]) -> Flow:
    """The flow of several loads."""
    mean = variance = 0.0
    for one, spread in loads:
        mean += one
        variance += spread
    return Flow(mean, sqrt(variance))


def add(loads: dict[int, Load], tier: int, one: Load) -> None:
    """Book a load with those of its tier priority."""
    mean, spread = loads.get(tier, NOTHING)
    loads[tier] = (mean + one[0], spread + one[1])


def from_the_top(loads: Mapping[int, Load], priorities: Iterable[int]) -> list[Load]:
    """By descending tier priority: the load of that tier and those above it."""
    mean = spread = 0.0
    found = []
    for priority in priorities:
        one, its_spread = loads.get(priority, NOTHING)
        mean += one
        spread += its_spread
        found.append((mean, spread))
    return found


def with_floors(wholes: Sequence[Load], least: Mapping[int, Load], priorities: Sequence[int]) -> list[Load]:
    """By descending tier priority: these loads, each with what may never be taken from the tiers below it (`least`)."""
    below = [NOTHING, *from_the_top(least, reversed(priorities))][-2::-1]
    return [(one + low, spread + its) for (one, spread), (low, its) in zip(wholes, below, strict=True)]


def steps_of(
    within: Mapping[int, Load], beyond: Mapping[int, Load], priorities: Sequence[int], *, below: Mapping[int, Load]
) -> tuple[tuple[int, Flow, Flow], ...]:
    """By descending tier priority: what a tier can use now (`within`) with all of those above it, and in the end (`beyond`)."""
    wholes = from_the_top(beyond, priorities)
    above = [NOTHING, *wholes[:-1]]
    own = [within.get(priority, NOTHING) for priority in priorities]
    reach = [(one + mean, spread + its) for (one, spread), (mean, its) in zip(above, own, strict=True)]
    both = (with_floors(loads, below, priorities) for loads in (reach, wholes))
    return tuple([(p, flow_of(now), flow_of(end)) for p, now, end in zip(priorities, *both, strict=True)])


def measure(
    scaler: Scaler,
    *,
    cells: list[Cell],
    policies: tuple[Policy, ...],
    flows: Callable[[], Flows],
    unseen: Mapping[CellKey, str],
    unreadable: tuple[str, ...] = (),
    ready: int,
    replicas: int,
    now: float,
) -> Demand:
    """All that is known of a scaler's demand at this moment.

    `flows` are those of its cells, of which `unseen` says whose demand is not known; `unreadable`, of what part nothing can be
    said.

    An objective that cannot be had hides nothing while hardly anybody is let through: there is no latency of nobody. A
    workload whose users all went, or were all denied, would else neither give up a replica nor let anybody in again.
    """
    blind = [p.offered.message for p in policies if isinstance(p.offered, Missing)]
    dark = [unseen[c.key] for c in cells if c.key in unseen] if unseen else []
    missing = list(dict.fromkeys([*unreadable, *blind, *dark]))
    flow_whole, backlog_whole, known = not missing, True, None
    if len(blind) < len(policies) and not (cells and len(dark) == len(cells)):
        known = flows()

    backlog = load = objective = busy = None
    load_metric = ""
    unmet: list[str] = []
    for metric in scaler.stored.spec.metrics:
        evidence = _evidence(scaler, metric, now)
        if isinstance(evidence, Missing):
            of = unmet if metric.role == "Objective" else missing
            of.append(f"metric {metric.name}: {evidence.message}")
            backlog_whole = backlog_whole and metric.role != "Backlog"
            continue
        match metric.role:
            case "Backlog":
                backlog = (backlog or 0.0) + max(0.0, evidence.value)
            case "Objective":
                objective = max(objective or 0.0, _ratio(metric, evidence.value, ready))
            case "Busy":
                busy = (busy or 0.0) + max(0.0, evidence.value)
            case _:  # "Load": there is no other role
                wanted = load_replicas(metric, evidence.value, ready=ready, replicas=replicas)
                if load is None or wanted > load:
                    load, load_metric = wanted, metric.name
    if not _idle(known, load=load, backlog=backlog):
        missing += unmet
    return Demand(
        offered=known.offered if known else None,
        admitted=known.carried if known else None,
        floor=known.floor if known else None,
        tiers=known.tiers if known else (),
        steps=known.steps if known else (),
        dearest=known.dearest if known else 0.0,
        backlog=backlog,
        load_replicas=load,
        load_metric=load_metric,
        objective_ratio=objective,
        busy=busy,
        missing=tuple(missing),
        flow_whole=flow_whole,
        backlog_whole=backlog_whole,
    )


def _idle(flows: Flows | None, *, load: int | None, backlog: float | None) -> bool:
    """Whether hardly anybody is let through; where no flow is known, whether what is known says nothing of any load."""
    if flows is not None:
        return flows.requests * RATE_WINDOW_SECONDS < FEW_REQUESTS
    return (load is not None or backlog is not None) and not load and not backlog


NOT_ASKED = Missing("not asked yet")


def _evidence(scaler: Scaler, metric: Metric, now: float) -> Evidence:
    found = scaler.metrics.get(metric.name, NOT_ASKED)
    return fresh(found, now=now, within_seconds=scaler.stored.spec.stale.after_seconds)


def _ratio(metric: Metric, value: float, ready: int) -> float:
    target = number(metric.target.value) if metric.target else 0.0
    if target <= 0:
        return 0.0
    per = max(1, ready) if metric.target and metric.target.type == "AverageValue" else 1
    return max(0.0, value) / per / target


def load_replicas(metric: Metric, value: float, *, ready: int, replicas: int) -> int:
    """Replicas by the HPA's formula: ceil(ready * ratio), and as many as there are within its tolerance of 10 %.

    AverageValue compares the sum over the replicas with target * ready, so the result is ceil(value / target). Where none is
    ready the value is compared as one replica's: nobody is within the tolerance of nothing.
    """
    ratio = _ratio(metric, value, ready)
    if ready and abs(ratio - 1.0) <= HPA_TOLERANCE:
        return max(ready, replicas)
    return ceil(max(1, ready) * ratio - 1e-9)


def whole_replicas(flow: Flow, *, gpus: int, target_percent: int) -> int:
    """Whole replicas that carry a flow at the target utilisation."""
    return ceil(flow.gpus(target_percent) / gpus - 1e-9)


def replicas_for(demand: Demand, *, flow: Flow | None, gpus: int, target_percent: int, drain_seconds: int) -> int:
    """Whole replicas that carry a flow at the target utilisation, work off the backlog, and satisfy Load metrics."""
    wanted = demand.load_replicas or 0
    extra = (demand.backlog or 0.0) / drain_seconds
    if flow is not None:
        wanted = max(wanted, ceil((flow.gpus(target_percent) + extra) / gpus - 1e-9))
    elif demand.backlog is not None:
        wanted = max(wanted, ceil(extra / gpus - 1e-9))
    return wanted


def rate_of(policy: Policy, audience: Audience, *, now: float, within_seconds: float) -> Sample | Missing | None:
    """The offered rate of a cell: a sample, Missing where the query failed, None where nobody has asked yet."""
    if isinstance(policy.offered, Missing):
        return policy.offered
    sample = policy.offered.get(audience)
    if sample is None:
        return None
    return fresh(sample, now=now, within_seconds=within_seconds)
