"""Figures from what was seen: how each feature and tier fared before, during and after the overload. Pure."""

from collections.abc import Iterable
from math import ceil
from typing import Any

from brownout_demo.records import Outcome, Record
from brownout_demo.schedule import OBJECTIVE_SECONDS


def quantile(values: Iterable[float], share: float) -> float | None:
    """The nearest-rank quantile, None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def most(values: Iterable[int | None]) -> int | None:
    """The greatest of those that are known; None where none is."""
    return max((value for value in values if value is not None), default=None)


def overload_started_at(record: Record) -> float | None:
    """When demand first went beyond the GPUs that could be had: some workload wanted more replicas than the pool could give."""
    for moment in record.moments:
        wanted = sum(scaler.demanded for scaler in moment.scalers if scaler.demanded is not None)  # at least so many
        if moment.gpus and wanted > moment.gpus:
            return moment.at
    return None


def first_shed_at(record: Record) -> float | None:
    """When something was first taken from somebody."""
    return next((flip.at for flip in record.flips if flip.down), None)


def fully_restored_at(record: Record) -> float | None:
    """When the last cell was whole again, for good; None if something was never taken, or is still away."""
    if first_shed_at(record) is None or not record.moments:
        return None
    if not all(cell.whole for cell in record.moments[-1].cells):
        return None
    return max(flip.at for flip in record.flips)


def fared(outcomes: Iterable[Outcome]) -> dict[str, dict[str, Any]]:
    """By `feature/tier`: offered, served, served within its objective, refused, failed, and the p95 of what was served."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(f"{outcome.group.feature}/{outcome.group.tier}", []).append(outcome)
    result: dict[str, dict[str, Any]] = {}
    for name, asked in sorted(groups.items()):
        served = [o.seconds for o in asked if o.ending == "served"]
        within = [s for s in served if s <= OBJECTIVE_SECONDS[asked[0].group.feature]]
        p95 = quantile(served, 0.95)
        result[name] = {
            "offered": len(asked),
            "served": len(served),
            "within_objective": len(within),
            "refused": sum(o.ending == "refused" for o in asked),
            "failed": sum(o.ending == "failed" for o in asked),
            "p95_seconds": None if p95 is None else round(p95, 2),
        }
    return result


def slo(record: Record) -> dict[str, dict[str, dict[str, Any]]]:
    """`fared` before, during and after the overload; all of it is before where there was none."""
    start = overload_started_at(record)
    start = float("inf") if start is None else start
    end = fully_restored_at(record)
    end = float("inf") if end is None else max(end, start)
    return {
        "before": fared(o for o in record.outcomes if o.at < start),
        "during": fared(o for o in record.outcomes if start <= o.at < end),
        "after": fared(o for o in record.outcomes if o.at >= end),
    }


def report(record: Record, *, seed: int, story: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything that `report.json` holds."""
    return {
        "minutes": record.minutes,
        "seed": seed,
        "overload_started_at": overload_started_at(record),
        "first_shed_at": first_shed_at(record),
        "fully_restored_at": fully_restored_at(record),
        "gpus": most(m.gpus for m in record.moments),
        "max_gpus_granted": most(m.held for m in record.moments),
        "scale_downs": [
            {
                "at": s.at,
                "scaler": s.scaler,
                "from": s.from_replicas,
                "to": s.to_replicas,
                "reason": f"{s.rule}: {s.message}",
            }
            for s in record.scalings
            if s.to_replicas < s.from_replicas
        ],
        "scale_ups": [
            {
                "at": s.at,
                "scaler": s.scaler,
                "from": s.from_replicas,
                "to": s.to_replicas,
                "reason": f"{s.rule}: {s.message}",
            }
            for s in record.scalings
            if s.to_replicas > s.from_replicas
        ],
        "flips": [
            {
                "at": f.at,
                "feature": f.feature,
                "tier": f.tier,
                "cohort": f.cohort,
                "from": f.from_variant,
                "from_percent": f.from_percent,
                "to": f.to_variant,
                "percent": f.percent,
                "reason": f"{f.reason}: {f.message}",
            }
            for f in record.flips
        ],
        "slo": slo(record),
        "objectives_seconds": OBJECTIVE_SECONDS,
        "story": story,
        "versions": record.versions,
        "memory_mib": record.memory_mib,
    }
