"""Whether a drill can be measured: nothing is taken from anybody for a figure that nobody could read.

Each function gives sentences, none where all is there. Missing is never zero: what cannot be read does not count as saved.
"""

from collections.abc import Iterator

from brownout.api.reasons import Condition
from brownout.api.resources import Key
from brownout.cli.drilling.reading import Reading
from brownout.cli.drilling.rung import By
from brownout.cli.explanation.seen import condition


def unseen(objects: By, policy: Key, scalers: tuple[Key, ...]) -> Iterator[str]:
    """What the operator itself cannot see of a feature and its workloads, as it last said."""
    own = objects["FeaturePolicy"].get(policy)
    if own is None or not own.status.cells:
        yield f"FeaturePolicy {policy}: no decision has been made of it yet; see that an operator runs"
        return
    for kind, bad in ((Condition.METRICS_AVAILABLE, "False"), (Condition.HELD, "True")):
        state, words, _ = condition(own.status.conditions, kind)
        if state == bad:
            yield words
    for key in scalers:
        scaler = objects["InferenceScaler"].get(key)
        if scaler is None:
            yield f"InferenceScaler {key} is not there"
        elif scaler.status.saturation_percent is None:
            state, words, _ = condition(scaler.status.conditions, Condition.SATURATED)
            why = f": {words}" if state == "Unknown" else ""
            yield f"the saturation of InferenceScaler {key} is not known{why}"


def unmeasured(reading: Reading, scalers: tuple[Key, ...]) -> Iterator[str]:
    """What a reading does not tell: what users ask for, and what each workload does."""
    yield from reading.missing
    for key in scalers:
        load = reading.loads.get(key)
        if load is None or (load.busy is None and load.admitted is None):
            yield f"neither the work that {key} does nor what is let through to it is known"


def unasked(reading: Reading, audience: str) -> Iterator[str]:
    """Whether there is nothing to measure: nobody asks for what is to be taken."""
    if reading.asked is None:
        yield f"it was never seen that {audience} asks for it"
    elif not reading.asked:
        yield f"nobody of {audience} asks for it now"


def lost(earlier: Reading, now: Reading) -> Iterator[str]:
    """By what was measured before, and cannot be any more: what is left could not be compared."""
    for key, load in earlier.loads.items():
        if load.busy is not None and (key not in now.loads or now.loads[key].busy is None):
            yield f"the work that {key} does is not known any more"
