"""Why a pool is saturated, how far down the ladder it is, and what is on its way."""

from collections.abc import Iterator

from brownout.api.reasons import Condition
from brownout.cli.explanation.cells import explain_cell
from brownout.cli.explanation.model import Explanation, Need
from brownout.cli.explanation.scalers import explain_scaler
from brownout.cli.explanation.seen import Seen, StoredPool, StoredScaler, condition, troubles
from brownout.cli.figures import counted, percent


def explain_pool(seen: Seen, pool: StoredPool) -> Explanation:
    """The chain of a shortage: the pool, then the cells that were taken (the last one first), then its scalers."""
    status, gpus = pool.status, pool.status.gpus
    saturated, _, _ = condition(status.conditions, Condition.SATURATED)
    scalers = seen.scalers_of(pool.key)
    taken = sorted((cell for cell in seen.cells_of(pool.key) if not cell.whole), key=lambda cell: -cell.place)
    limit = f" (limited by {gpus.limited_by})" if gpus.limited_by else ""
    coming = [scaler.status.coming_ready_at for scaler in scalers if scaler.status.coming_ready_at]
    return Explanation(
        subject=f"GPUPool {pool.key}",
        has=f"{counted(gpus.held)} of {counted(gpus.capacity)} GPUs held, {counted(gpus.granted)} granted, "
        f"{counted(gpus.free)} free{limit}"
        if gpus.granted is not None
        else "no decision has been made yet",
        rule={"True": "Saturated", "False": "NotSaturated", "Unknown": "Missing"}.get(saturated, ""),
        because=_because(pool, saturated),
        since=status.saturation.since,
        numbers=dict(_numbers(pool)),
        goal="to have enough",
        needs=tuple(_needs(scalers)),
        expected=min(coming, default=""),
        troubles=troubles(status.conditions),
        parts=(*(explain_cell(seen, cell) for cell in taken), *(explain_scaler(seen, scaler) for scaler in scalers)),
    )


def is_short(seen: Seen, pool: StoredPool) -> bool:
    """Whether anything is saturated or taken in a pool, or a scaler gets less than it demands."""
    kinds = (Condition.SATURATED, Condition.SHEDDING)
    if any(condition(pool.status.conditions, kind)[0] == "True" for kind in kinds):
        return True
    if any(not cell.whole for cell in seen.cells_of(pool.key)):
        return True
    return any(
        condition(scaler.status.conditions, Condition.SCALING_LIMITED)[0] == "True"
        for scaler in seen.scalers_of(pool.key)
    )


def _because(pool: StoredPool, saturated: str) -> str:
    if saturated == "False" and (pool.status.saturation.percent or 0) > 100:
        return "the worst scaler is more than full, and has not been for long enough to act on"
    if saturated == "Unknown":
        words = condition(pool.status.conditions, Condition.SATURATED)[1]
        return f"nobody can tell whether every scaler carries what it admits: {words}"
    if saturated != "True":
        return "every scaler carries what it admits" if saturated == "False" else ""
    return pool.status.saturation.message or condition(pool.status.conditions, Condition.SATURATED)[1]


def _numbers(pool: StoredPool) -> Iterator[tuple[str, str]]:
    status = pool.status
    worst = f", the worst is {status.saturation.scaler}" if status.saturation.scaler else ""
    unseen = status.saturation.unknown if status.saturation.percent is not None else None
    others = f", that of {unseen} scalers is not known" if unseen else ""
    yield (
        "saturation",
        f"{percent(status.saturation.percent)}{worst}{others}; a cell comes back below {pool.spec.saturation.restore_percent} %",
    )
    if status.ladder.position:
        yield "ladder", f"{status.ladder.taken} of {status.ladder.total} rungs taken"
    elif status.ladder.total == 0:
        yield "ladder", "it has no rungs: no policy's costs name a scaler of this pool"
    else:
        yield "ladder", "not judged yet"
    if status.ladder.last:
        yield "last taken", status.ladder.last
    if status.ladder.next:
        yield "next to go", status.ladder.next
    for holder in status.holders:
        yield f"  {holder.scaler}", f"{holder.gpus} GPUs: {holder.ready} replicas ready, {holder.coming} coming"


def _needs(scalers: list[StoredScaler]) -> Iterator[Need]:
    for scaler in scalers:
        counts, where = scaler.status.replicas, str(scaler.key)
        if counts.coming:
            what = f"{counts.coming} replicas of {where} become ready"
            yield Need(what=what, met=False, at=scaler.status.coming_ready_at)
        if counts.demanded is not None and counts.obtainable is not None and counts.demanded > counts.obtainable:
            found = f"it demands {counts.demanded} replicas and may have {counts.obtainable}"
            limit = f", limited by {scaler.status.limited_by}" if scaler.status.limited_by else ""
            yield Need(what=f"there are GPUs for all of {where}, or fewer are needed", met=False, found=found + limit)
