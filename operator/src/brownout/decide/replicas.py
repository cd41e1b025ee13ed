"""Replicas of every scaler of a pool: what each wants, what the pool can give, and which rule had the last word."""

from collections.abc import Mapping, Sequence
from math import ceil

from msgspec import Struct, structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.arbitrate import Claim, GPUs, Order, in_order, is_short, reclaim, share
from brownout.decide.evidence import Missing
from brownout.decide.memory import PoolMemory, ScaleDecided, ScalerMemory
from brownout.decide.placement import in_one_tick
from brownout.decide.restore import gpus_to_be_full
from brownout.decide.scale import Lowering, limited, may_lower, stabilized
from brownout.decide.snapshot import Pool, StoredPool
from brownout.decide.swings import peak
from brownout.decide.view import ScalerView

REMEMBERED_DECISIONS = 5


class Wish(Struct, frozen=True, kw_only=True):
    """What one scaler wants by itself: `demanded` for all of its demand within its bounds; `keep`, what it does not give up;
    `rise`, how far its stabilization window lets it go up.
    """

    view: ScalerView
    demanded: int
    keep: int
    rise: int
    rule: Reason
    message: str
    limited_by: str
    memory: ScalerMemory

    @property
    def most(self) -> int:
        """The most replicas that dealing GPUs out may have to find places for."""
        swung_to = ceil(max(self.view.memory.needs.values, default=0.0))
        return max(self.demanded, self.keep, swung_to, self.view.supply.replicas, self.view.spec.min_replicas)


class Decided(Struct, frozen=True, kw_only=True):
    """One scaler's replicas, and the share of the pool that it would have if GPUs could be dealt anew.

    `falls_to` and `falls_for`: the replicas that it is about to keep, because another is short of its share, and that other.
    """

    view: ScalerView
    replicas: int
    obtainable: int
    ideal: int
    demanded: int
    floor: int
    rule: Reason
    message: str
    limited_by: str
    memory: ScalerMemory
    falls_to: int | None = None
    falls_for: Key | None = None


class Deal(Struct, frozen=True, kw_only=True):
    """How a pool's GPUs are dealt out among its scalers. `memory` is the pool's."""

    pool: Pool
    gpus: GPUs | Missing
    decided: tuple[Decided, ...]
    memory: PoolMemory


def wish(
    view: ScalerView,
    *,
    shed: tuple[str, ...],
    restore_percent: int,
    now: float,
    dearest_shed: float = 0.0,
    next_step: float = 0.0,
    before: float | None = None,
) -> Wish:
    """A scaler's own wish, before others are heard. Of what is `shed`: `dearest_shed`, GPU-seconds of its largest request;
    `next_step`, the flow that it would carry more with all of it one variant up; and `before`, the most that it loaded the
    scaler with before it was shed, None where that is not known.
    """
    spec, current = view.spec, view.supply.replicas
    if spec.mode == "Paused":
        return _stay(view, Reason.PAUSED, "mode: Paused", now=now)
    if view.blind:
        return _blind(view, now)
    wanted, rule, message = _demanded(view)
    returns = 0
    if shed:
        returns = _returns_from(view, dearest=dearest_shed, next_step=next_step, restore_percent=restore_percent)
    if returns > wanted:
        wanted, message = returns, f"{message}; {returns} replicas are needed for all of it to come back"
    bounded = min(max(wanted, spec.min_replicas), spec.max_replicas)
    limited_by = ""
    if bounded < wanted:
        rule, limited_by = Reason.MAX_REPLICAS, "maxReplicas"
        message = f"{message}; maxReplicas is {spec.max_replicas}"
    elif bounded > wanted:
        rule, message = Reason.MIN_REPLICAS, f"{message}; minReplicas is {spec.min_replicas}"
    if view.demand.missing and bounded < current <= spec.max_replicas:
        return _stay(
            view, Reason.HELD, f"nothing is lowered while evidence is missing: {view.demand.missing[0]}", now=now
        )
    if view.demand.missing and current > spec.max_replicas:
        bounded, rule, limited_by = spec.max_replicas, Reason.MAX_REPLICAS, "maxReplicas"
        message = f"evidence is missing: {view.demand.missing[0]}; maxReplicas is {spec.max_replicas}"
    steady, memory = stabilized(view.memory, wanted=bounded, current=current, behavior=spec.behavior, now=now)
    keep, why, words = current, None, ""
    if bounded < current:
        keep, why, words = _lowered(
            view,
            steady,
            bounded,
            shed=shed,
            for_all=None if before is None else _to_be_full(view, before, dearest_shed, restore_percent),
            restore_percent=restore_percent,
            now=now,
        )
    return Wish(
        view=view,
        demanded=bounded,
        keep=keep,
        rise=max(current, steady, spec.min_replicas),
        rule=why or rule,
        message=words or message,
        limited_by=limited_by,
        memory=memory,
    )


def _stay(view: ScalerView, rule: Reason, message: str, *, now: float) -> Wish:
    """Replicas stay; the stabilization window remembers that they did."""
    current = view.supply.replicas
    _, memory = stabilized(view.memory, wanted=current, current=current, behavior=view.spec.behavior, now=now)
    return Wish(
        view=view,
        demanded=current,
        keep=current,
        rise=current,
        rule=rule,
        message=message,
        limited_by="",
        memory=memory,
    )


def _blind(view: ScalerView, now: float) -> Wish:
    """Nothing is known: hold; after a long while rise to what was declared safe, never fall."""
    stale, current, least = view.spec.stale, view.supply.replicas, view.spec.min_replicas
    blind_for = 0.0 if view.memory.blind_since is None else now - view.memory.blind_since
    why = (
        view.demand.missing[0]
        if view.demand.missing
        else "spec.metrics is empty, and no policy's costs name this scaler"
    )
    safe = stale.fallback_replicas
    if safe is not None and blind_for >= stale.fallback_after_seconds and safe > current:
        message = f"nothing is known for {blind_for:.0f} s: {why}; fallbackReplicas is {safe}"
        return _raised(_stay(view, Reason.FALLBACK, message, now=now), min(safe, view.spec.max_replicas))
    if least > current:
        message = f"nothing is known: {why}; minReplicas is {least}"
        return _raised(_stay(view, Reason.MIN_REPLICAS, message, now=now), least)
    return _stay(view, Reason.HELD, f"replicas stay as they are: {why}", now=now)


def _raised(held: Wish, replicas: int) -> Wish:
    return structs.replace(held, demanded=replicas, rise=replicas)


def _demanded(view: ScalerView) -> tuple[int, Reason, str]:
    """Replicas for all of the demand, pods that were given up made good elsewhere, and the words for it."""
    demand, spec = view.demand, view.spec
    wanted, rule = view.demanded, Reason.DEMAND
    if demand.offered is not None:
        words = f"{demand.offered.mean:.1f} GPUs of load are asked for"
        if demand.backlog:
            words += f", {demand.backlog:.0f} GPU-seconds wait"
        words += f", replicas are planned {spec.flow.target_percent} % full"
    elif demand.load_metric:
        words = f"metric {demand.load_metric} asks for {demand.load_replicas} replicas"
    else:
        words = f"{demand.backlog or 0:.0f} GPU-seconds wait, to be worked off in {spec.queue.drain_seconds} s"
    if view.forecast is not None and view.forecast > wanted:
        wanted, rule = view.forecast, Reason.FORECAST
        words += f"; by the time a new replica is ready it will be {view.forecast} replicas' worth"
    # Where most do not become ready, more of the same would not either, and would take GPUs from others for nothing.
    if replaced := min(view.supply.dead, max(1, view.supply.ready)):
        wanted += replaced
        words += f"; {replaced} that did not become ready in {spec.cold_start.give_up_after_seconds} s are made good"
    return wanted, rule, words


def _returns_from(view: ScalerView, *, dearest: float, next_step: float, restore_percent: int) -> int:
    """The fewest replicas on which the restore gate lets all of it back; with fewer some would stay denied beside free GPUs.

    It comes back variant by variant: a workload that serves a lesser one alone is asked for nothing, and has to carry all who
    come back through it.
    """
    if view.demand.offered is None:
        return 0
    carried = 0.0 if view.demand.admitted is None else view.demand.admitted.mean
    gpus = _to_be_full(view, max(view.demand.offered.mean, carried + next_step), dearest, restore_percent)
    return ceil(gpus / view.supply.gpus - 1e-9)


def _to_be_full(view: ScalerView, flow: float, dearest: float, restore_percent: int) -> float:
    """GPUs on which the restore gate lets so much of a scaler's flow in; `dearest` as for `wish`."""
    return gpus_to_be_full(
        flow,
        dearest=max(dearest, view.demand.dearest),
        drain_seconds=view.spec.queue.drain_seconds,
        restore_percent=restore_percent,
    )


def _lowered(
    view: ScalerView,
    steady: int,
    wanted: int,
    *,
    shed: tuple[str, ...],
    for_all: float | None,
    restore_percent: int,
    now: float,
) -> tuple[int, Reason | None, str]:
    """How far a scaler goes down by itself, and the rule that stopped it on the way, if one did."""
    current = view.supply.replicas
    if for_all is not None:  # so many stay in any case
        least = min(current, ceil(for_all / view.supply.gpus - 1e-9))
        steady, wanted = max(steady, least), max(wanted, least)
    if objection := may_lower(
        Lowering(view=view, to=wanted, shed=shed, restore_percent=restore_percent, for_all=for_all)
    ):
        return current, objection.reason, objection.message
    if steady >= current:
        return current, Reason.STABILIZATION, f"{wanted} would do, and was not enough within the stabilization window"
    keep = limited(view.memory, wanted=steady, current=current, behavior=view.spec.behavior, now=now)
    if keep > steady:
        return keep, Reason.BEHAVIOR, f"{wanted} would do; behavior.scaleDown allows {current - keep} fewer now"
    if steady > wanted:
        return keep, Reason.STABILIZATION, f"{wanted} would do; {steady} were needed within the stabilization window"
    return keep, None, ""


def decide_replicas(
    wishes: Sequence[Wish], gpus: GPUs | Missing, pool: StoredPool, *, pressed: frozenset[Key], now: float
) -> list[Decided]:
    """Deal the pool's GPUs out. Where the pool's GPUs cannot be read nobody rises, and nobody falls."""
    if isinstance(gpus, Missing):
        return [_held(w, f"the pool's GPUs cannot be read: {gpus.message}") for w in wishes]
    claims = [_claim(w, pressed=w.view.key in pressed, now=now) for w in wishes]
    by_key = {claim.key: claim for claim in claims}
    keep = {claim.key: claim.keep for claim in claims}
    order = in_order(claims)
    # What is taken from others is of use only a cold start later, and has to be given back by then where demand swings.
    lasting = in_order([_lasting(claim, w.view, now) for claim, w in zip(claims, wishes, strict=True)])
    granted, ideal = share(order, gpus, keep=keep), share(lasting, gpus)
    settings = pool.spec.reclaim

    since: dict[Key, float | None] = {}
    for claim, w in zip(claims, wishes, strict=True):
        key, before = claim.key, w.memory.deficit_since
        short = is_short(claim, granted=granted[key], ideal=ideal[key], percent=settings.deficit_percent)
        since[key] = None if not short else now if before is None else before
    waiting = frozenset(k for k, at in since.items() if at is not None)
    lowest = min([claim.tiers[-1][0] for claim in claims if claim.tiers], default=0)
    # What would serve tiers above the lowest does not wait: hysteresis is for equals.
    urgent = frozenset(k for k in waiting if (by_key[k].urgent(granted[k], ideal[k]) or lowest) > lowest)
    ripe = frozenset(
        k for k, at in since.items() if at is not None and (k in urgent or now - at >= settings.after_seconds)
    )
    # What is about to be reclaimed is said before it is: whoever loses GPUs lets go of users first.
    falling = reclaim(lasting, gpus, short=waiting, ideal=ideal) if waiting else keep
    falls_for = max(waiting, key=lambda k: (by_key[k].pressed, by_key[k].priority, k), default=None)
    lost: dict[Key, int] = {}
    won: frozenset[Key] = frozenset()
    if ripe:
        kept = falling if ripe == waiting else reclaim(lasting, gpus, short=ripe, ideal=ideal)
        lost = {key: kept[key] for key in kept if kept[key] < keep[key]}
        if lost:
            after = share(order, gpus, keep=kept)
            won = frozenset(key for key in ripe if after[key] > granted[key])
            granted, keep = after, kept
    winner = min(won, default=None)
    asked = in_one_tick(claims, gpus, keep=keep, granted=granted)
    there = _while_others_hold(order, gpus, keep, {w.view.key: w.view.supply.replicas for w in wishes})
    return [
        _decided(
            w,
            granted=granted[claim.key],
            asked=asked[claim.key],
            there=there.get(claim.key),
            keep=keep[claim.key],
            ideal=ideal[claim.key],
            taken_by=winner if claim.key in lost else None,
            memory=_after_deal(
                w.memory, since[claim.key], closed_until=None if claim.key not in won else now + settings.hold_seconds
            ),
            falls_to=falling[claim.key] if falling[claim.key] < claim.keep else None,
            falls_for=falls_for,
            gpus=gpus,
            now=now,
        )
        for claim, w in zip(claims, wishes, strict=True)
    ]


def _after_deal(memory: ScalerMemory, deficit_since: float | None, *, closed_until: float | None) -> ScalerMemory:
    """The memory of who is short since then, or has just won and is closed to others until then."""
    if closed_until is not None:
        return structs.replace(memory, deficit_since=None, closed_until=closed_until)
    return memory if memory.deficit_since == deficit_since else structs.replace(memory, deficit_since=deficit_since)


def _while_others_hold(order: Order, gpus: GPUs, keep: Mapping[Key, int], now: Mapping[Key, int]) -> Mapping[Key, int]:
    """What there is for each scaler before anybody has let go of anything; nothing where nobody does.

    A write may fail: what somebody is told to let go of is another's only once it is seen to be free, or both would hold it.
    """
    holds = {key: max(replicas, now[key]) for key, replicas in keep.items()}
    return {} if holds == keep else share(order, gpus, keep=holds)


def _claim(w: Wish, *, pressed: bool, now: float) -> Claim:
    spec = w.view.spec
    acts = spec.mode == "Auto"
    floor = min(max(w.view.floor, spec.min_replicas), spec.max_replicas)

    def bounded(tiers: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        return tuple([(p, min(max(n, spec.min_replicas), spec.max_replicas)) for p, n in tiers])

    return Claim(
        key=w.view.key,
        gpus=w.view.supply.gpus,
        priority=spec.priority,
        minimum=spec.min_replicas if acts else w.keep,
        floor=floor,
        demanded=w.demanded if acts else w.view.supply.replicas,
        tiers=bounded(w.view.tiers),
        reach=bounded(w.view.reach),
        keep=w.keep if acts else w.view.supply.replicas,
        by_node=w.view.supply.by_node,
        pods=w.view.supply.pods,
        pressed=pressed,
        closed=now < w.memory.closed_until,
        fixed=not acts or bool(w.view.demand.missing) or w.view.blind,
    )


def _lasting(claim: Claim, view: ScalerView, now: float) -> Claim:
    """What it claims for longer than this moment: where its demand swings, what the peaks need."""
    if not claim.tiers:
        return claim
    lowest, needed = claim.tiers[-1]
    if max(view.memory.needs.values, default=0.0) <= needed:
        return claim  # nearly always: there was no higher need that could swing
    most = min(peak(view.memory.needs, now=now), view.spec.max_replicas)
    if most <= needed:
        return claim
    return structs.replace(claim, demanded=max(claim.demanded, most), tiers=(*claim.tiers[:-1], (lowest, most)))


def _held(w: Wish, message: str) -> Decided:
    current = w.view.supply.replicas
    return Decided(
        view=w.view,
        replicas=current,
        obtainable=current,
        ideal=current,
        demanded=w.demanded,
        floor=w.view.floor,
        rule=Reason.HELD,
        message=message,
        limited_by="",
        memory=w.memory,
    )


def _decided(
    w: Wish,
    *,
    granted: int,
    asked: int,
    keep: int,
    ideal: int,
    taken_by: Key | None,
    there: int | None,
    memory: ScalerMemory,
    falls_to: int | None,
    falls_for: Key | None,
    gpus: GPUs,
    now: float,
) -> Decided:
    view, current, spec = w.view, w.view.supply.replicas, w.view.spec
    rule, message, limited_by = w.rule, w.message, w.limited_by
    if spec.mode == "Advise":  # what it would do by itself: the pool's GPUs are dealt out without it
        granted, asked, there, keep = w.demanded, w.demanded, None, w.keep
    replicas = max(granted, keep)
    if taken_by is not None and spec.mode == "Auto":
        rule, message = (
            Reason.RECLAIMED,
            f"{current - keep} replicas go to {taken_by.name}, which is short of its share",
        )
    elif granted < w.demanded and replicas >= current:
        bound, limited_by = gpus.bound(view.key.namespace)
        rule = Reason.POOL_EXHAUSTED
        message = f"{w.message}: {w.demanded} replicas; the pool's {bound} GPUs ({limited_by}) leave {replicas}"
    if asked < replicas and replicas > current:
        rule, message = Reason.WAITS, f"{message}; larger replicas are placed first"
        replicas = max(asked, keep)
    if there is not None and current < replicas > there:
        rule, message = Reason.WAITS, f"{message}; others let go of their GPUs first"
        replicas = max(there, current)
    if replicas > current and w.rise < replicas:
        rule = Reason.STABILIZATION
        message = f"{message}; fewer were enough within behavior.scaleUp's stabilization window: {w.rise} now"
        replicas = w.rise
    if replicas > current:
        bound = limited(view.memory, wanted=replicas, current=current, behavior=spec.behavior, now=now)
        if bound < replicas:
            rule, message = Reason.BEHAVIOR, f"{message}; behavior.scaleUp allows {bound} now"
            replicas = bound
    if replicas == current and rule in (Reason.DEMAND, Reason.FORECAST):
        rule = Reason.STEADY
    if replicas != current and spec.mode == "Auto":
        decision = ScaleDecided(at=now, from_replicas=current, to_replicas=replicas, rule=rule, message=message)
        memory = structs.replace(memory, decisions=(*memory.decisions, decision)[-REMEMBERED_DECISIONS:])
    return Decided(
        view=view,
        replicas=replicas,
        obtainable=max(granted, keep),
        ideal=ideal,
        demanded=w.demanded,
        floor=view.floor,
        rule=rule,
        message=message,
        limited_by=limited_by,
        memory=memory,
        falls_to=falls_to,
        falls_for=falls_for,
    )
