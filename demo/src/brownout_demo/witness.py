"""Watches the objects as anybody with kubectl could, and notes what changed."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Protocol

from brownout_demo.records import CellMoment, Flip, Moment, Record, ScalerMoment, Scaling

API = "brownout.dev/v1alpha1"
LOOK_SECONDS = 0.5

Manifest = dict[str, Any]


class Objects(Protocol):
    """The part of the cluster's client that is needed."""

    def list(self, api_version: str, kind: str) -> list[Manifest]: ...


class Witness:
    """Looks twice a second. `now` gives seconds from the start of the load, `started` that start in Unix seconds."""

    def __init__(self, objects: Objects, record: Record, *, now: Callable[[], float], started: float) -> None:
        self._objects = objects
        self._record = record
        self._now = now
        self._started = started
        self._cells: dict[tuple[str, str, str], Manifest] = {}
        self._decided: set[tuple[str, str, int, int]] = set()

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look: a moment, and what changed since the last."""
        pools, scalers, policies = await asyncio.to_thread(
            lambda: [self._objects.list(API, kind) for kind in ("GPUPool", "InferenceScaler", "FeaturePolicy")]
        )
        at = self._now()
        self._record.flips += self._flips(policies, at)
        self._record.moments.append(_moment(pools, scalers, policies, at))
        self._record.scalings += self._scalings(scalers, _shed_scalers(policies))

    def _flips(self, policies: list[Manifest], at: float) -> list[Flip]:
        """What changed, in the order of the ladder: a tick writes all of a policy's changes at once."""
        found: list[tuple[tuple[int, int], Flip]] = []
        for policy in policies:
            names = [variant["name"] for variant in policy["spec"]["variants"]]
            for place, cell in enumerate(policy.get("status", {}).get("cells", ())):
                key = (policy["metadata"]["name"], cell["tier"], cell.get("cohort", ""))
                before = self._cells.get(key)
                self._cells[key] = cell
                if before is None or _depth(before, names) == _depth(cell, names):
                    continue
                down = _depth(cell, names) > _depth(before, names)
                order = (int(policy["spec"]["shedOrder"]), place)
                flip = Flip(
                    at=round(at, 1),
                    feature=key[0],
                    tier=key[1],
                    cohort=key[2],
                    from_variant=before["variant"],
                    from_percent=before["percent"],
                    to_variant=cell["variant"],
                    percent=cell["percent"],
                    down=down,
                    reason=cell.get("reason", ""),
                    message=cell.get("message", ""),
                )
                found.append((order if down else (-order[0], -order[1]), flip))
        return [flip for _, flip in sorted(found, key=lambda item: item[0])]

    def _scalings(self, scalers: list[Manifest], shed: set[str]) -> Iterable[Scaling]:
        for scaler in scalers:
            name = scaler["metadata"]["name"]
            for decision in scaler.get("status", {}).get("decisions", ()):
                key = (name, decision["at"], decision["fromReplicas"], decision["toReplicas"])
                at = datetime.fromisoformat(decision["at"]).timestamp() - self._started
                if key in self._decided or at < -1:
                    continue
                self._decided.add(key)
                yield Scaling(
                    at=round(max(0.0, at), 1),
                    scaler=name,
                    from_replicas=decision["fromReplicas"],
                    to_replicas=decision["toReplicas"],
                    rule=decision["rule"],
                    message=decision["message"],
                    own_cells_shed=name in shed,
                )


def _depth(cell: Manifest, names: list[str]) -> tuple[int, int]:
    """How far down a cell is: the greater, the less its users have."""
    return (names.index(cell["variant"]), -cell["percent"])


def _shed_scalers(policies: list[Manifest]) -> set[str]:
    """The scalers with a cell that is not whole."""
    return {
        cost["scaler"]
        for policy in policies
        for cell in policy.get("status", {}).get("cells", ())
        if not _whole(policy, cell)
        for variant in policy["spec"]["variants"]
        for cost in variant.get("costs", ())
    }


def _whole(policy: Manifest, cell: Manifest) -> bool:
    return bool(cell["variant"] == policy["spec"]["variants"][0]["name"] and cell["percent"] == 100)


def _moment(pools: list[Manifest], scalers: list[Manifest], policies: list[Manifest], at: float) -> Moment:
    pool = pools[0].get("status", {}) if pools else {}
    gpus, saturation = pool.get("gpus", {}), pool.get("saturation", {})
    return Moment(
        at=round(at, 1),
        gpus=gpus.get("capacity"),
        held=gpus.get("held"),
        saturation_percent=saturation.get("percent"),
        saturated=bool(saturation.get("since")),
        ladder=pool.get("ladder", {}).get("position", ""),
        scalers=tuple(_scaler(scaler) for scaler in scalers),
        cells=tuple(
            CellMoment(
                feature=policy["metadata"]["name"],
                tier=cell["tier"],
                cohort=cell.get("cohort", ""),
                variant=cell.get("overriddenTo") or cell["variant"],
                percent=100 if cell.get("overriddenTo") else cell["percent"],
                whole=_whole(policy, cell),
                reason=cell.get("reason", ""),
                message=cell.get("message", ""),
            )
            for policy in sorted(policies, key=lambda p: p["spec"]["shedOrder"])
            for cell in policy.get("status", {}).get("cells", ())
        ),
    )


def _scaler(scaler: Manifest) -> ScalerMoment:
    status = scaler.get("status", {})
    replicas = status.get("replicas", {})
    return ScalerMoment(
        name=scaler["metadata"]["name"],
        ready=replicas.get("ready"),
        coming=replicas.get("coming"),
        desired=replicas.get("desired"),
        demanded=replicas.get("demanded"),
        saturation_percent=status.get("saturationPercent"),
        why=status.get("summary", ""),
    )
