"""Somebody else who scales the same workload: an autoscaler that was forgotten, a pipeline, a person who does not give up.

One change of replicas from outside is everyday life (a person, a rollback), and the next tick decides on what it finds. Change after
change is two controllers that undo each other's work: pods load models only to be ended again. It is said, not fought harder.
"""

from collections.abc import Mapping
from typing import NamedTuple

from brownout.api.resources import Key

WITHIN_SECONDS = 600.0
CHANGES = 3
"""So many changes from outside within ten minutes are no accident. An HPA looks four times a minute."""


class Change(NamedTuple):
    """Replicas that somebody else wrote."""

    at: float
    from_replicas: int
    to_replicas: int


class Rivals:
    """Tells changes of replicas that are ours from those that are not. Times are seconds on a clock that is never set."""

    def __init__(self) -> None:
        self._seen: dict[Key, int] = {}
        self._tried: dict[Key, int] = {}
        self._changes: dict[Key, list[Change]] = {}

    def tries(self, scaler: Key, replicas: int) -> None:
        """We are about to write replicas. Whether that succeeds may never be heard, where the answer comes too late."""
        self._tried[scaler] = replicas

    def look(self, replicas: Mapping[Key, int], *, now: float) -> None:
        """What every scaler's workload has now; of one whose workload cannot be read nothing is known any more."""
        for scaler, count in replicas.items():
            before = self._seen.get(scaler, count)
            if count not in (before, self._tried.get(scaler)):
                self._changes.setdefault(scaler, []).append(Change(now, before, count))
        self._seen = dict(replicas)
        self._tried = {scaler: count for scaler, count in self._tried.items() if scaler in replicas}
        recent = {
            scaler: [change for change in changes if now - change.at < WITHIN_SECONDS][-CHANGES:]
            for scaler, changes in self._changes.items()
            if scaler in replicas
        }
        self._changes = {scaler: changes for scaler, changes in recent.items() if changes}

    def contested(self) -> list[Key]:
        """The scalers whose workloads somebody keeps changing."""
        return [scaler for scaler, changes in self._changes.items() if len(changes) >= CHANGES]

    def sentence(self, scaler: Key, target: str) -> str:
        """What to say of such a scaler; `target` names its workload."""
        changes = self._changes[scaler]
        last = changes[-1]
        return (
            f"somebody else keeps changing the replicas of {target} (last from {last.from_replicas} to {last.to_replicas}); "
            f"remove the HorizontalPodAutoscaler or the pipeline that scales it too, or write mode: Paused here"
        )
