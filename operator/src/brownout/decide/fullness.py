"""How full a workload and its pool are, as figures, conditions and words. Missing is never zero, and never calm."""

from collections.abc import Sequence

from brownout.api.reasons import Condition, Reason
from brownout.decide.outcome import Verdict
from brownout.decide.saturation import measured, tells
from brownout.decide.view import ScalerView

SATURATED = Verdict(type=Condition.SATURATED, status=True, reason=Reason.SATURATED)
NOT_SATURATED = Verdict(type=Condition.SATURATED, status=False, reason=Reason.NOT_SATURATED)
UNMEASURED = "nothing measures its load: write spec.metrics, or name it in a policy's costs"


def percent(view: ScalerView) -> int | None:
    """A scaler's saturation in percent, where it may be told."""
    ratio = measured(view.saturation, view.demand)
    return None if ratio is None else round(100 * ratio)


def how_full(view: ScalerView) -> str:
    """How full a scaler is, as the beginning of a sentence."""
    if view.saturation is None:
        return (
            f"{view.key.name} was full when it was last seen" if view.saturated else f"{view.key.name} cannot be seen"
        )
    return f"{view.key.name} is {100 * view.saturation:.0f} % full"


def saturated(view: ScalerView) -> Verdict:
    """Whether a scaler is saturated. What is not seen is not said to be well; what was saturated is so until it is seen not to be."""
    if view.saturated:
        return SATURATED
    if percent(view) is not None or tells(view.saturation, whole=not view.demand.missing):
        return NOT_SATURATED
    words = "; ".join(view.demand.missing) or UNMEASURED
    return Verdict(type=Condition.SATURATED, status=None, reason=Reason.MISSING, message=words)


def pool_saturated(views: Sequence[ScalerView], worst: ScalerView | None) -> Verdict:
    """Whether a pool is saturated: by its `worst` scaler that is. It is not said not to be while one of them cannot be seen."""
    if worst is not None:
        message = f"{worst.key} is saturated"
        return Verdict(type=Condition.SATURATED, status=True, reason=Reason.SATURATED, message=message)
    for view in views:
        if (own := saturated(view)).status is None:
            message = f"{view.key}: {own.message}"
            return Verdict(type=Condition.SATURATED, status=None, reason=Reason.MISSING, message=message)
    return NOT_SATURATED
