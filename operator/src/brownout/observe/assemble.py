"""From facts and evidence to a Snapshot.

An object that cannot be put together costs only itself: what went wrong becomes a Missing with a sentence.
"""

import logging
from collections.abc import Iterable, Mapping

from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.links import selects
from brownout.decide.snapshot import Policy, Pool, Scaler, Snapshot, StoredPool, StoredScaler, Workload
from brownout.observe.inventory import pool_nodes, pool_quotas
from brownout.observe.kinds import Kinds
from brownout.observe.pods import Pods
from brownout.observe.queries import Evidences
from brownout.observe.targets import Target
from brownout.observe.workloads import workload

log = logging.getLogger(__name__)


class Assembly:
    """One snapshot in the making. `targets` is what stands behind each scaler, by the scaler's key."""

    def __init__(self, kinds: Kinds, *, targets: Mapping[Key, Target], evidences: Evidences) -> None:
        self._kinds = kinds
        self._targets = targets
        self._evidences = evidences
        pods = Pods(kinds.pods.values())
        self._pods = {
            key: [] if isinstance(target, Missing) else pods.selected(key.namespace, target.selector)
            for key, target in targets.items()
        }

    def snapshot(self) -> Snapshot:
        kinds, evidences = self._kinds, self._evidences
        return Snapshot(
            pools={key: self._pool(pool) for key, pool in kinds.pools.items()},
            scalers={
                key: Scaler(stored=scaler, workload=self._workload(scaler), metrics=evidences.metrics[key])
                for key, scaler in kinds.scalers.items()
            },
            tiers=kinds.tiers,
            policies={
                key: Policy(
                    stored=policy,
                    offered=evidences.offered[key],
                    admitted=evidences.admitted[key],
                    heaviest=evidences.heaviest[key],
                )
                for key, policy in kinds.policies.items()
            },
            overrides=kinds.overrides,
            namespaces={key.name: fact.labels for key, fact in kinds.namespaces.items()},
            invalid=kinds.invalid,
            unseen=kinds.unseen,
            elsewhere=kinds.elsewhere,
        )

    def _workload(self, scaler: StoredScaler) -> Workload | Missing:
        pool = self._kinds.pools.get(Key("", scaler.spec.pool_ref.name))
        try:
            return workload(
                scaler,
                pool=pool.spec if pool else None,
                target=self._targets[scaler.key],
                pods=self._pods[scaler.key],
            )
        except Exception as error:
            log.exception("workload of InferenceScaler %s", scaler.key)
            return Missing(
                f"InferenceScaler {scaler.key}: its workload cannot be read ({type(error).__name__}); see the log"
            )

    def _pool(self, pool: StoredPool) -> Pool:
        pods, own = self._kinds.pods.values(), frozenset(self._own_pods(pool))
        try:
            return Pool(
                stored=pool,
                nodes=pool_nodes(pool.spec, nodes=self._kinds.nodes.values(), pods=pods, own=own),
                quotas=pool_quotas(pool.key.name, pool.spec, quotas=self._kinds.quotas, pods=pods, own=own),
            )
        except Exception as error:
            log.exception("GPUs of GPUPool %s", pool.key)
            unread = Missing(f"GPUPool {pool.key}: its GPUs cannot be counted ({type(error).__name__}); see the log")
            return Pool(stored=pool, nodes=unread, quotas=unread)

    def _own_pods(self, pool: StoredPool) -> Iterable[Key]:
        """Pods of the pool's scalers: what they hold is not held by others. Who is not admitted is another."""
        for scaler in self._kinds.scalers.values():
            namespace = self._kinds.namespaces.get(Key("", scaler.key.namespace))
            admitted = selects(pool.spec.namespace_selector, namespace.labels if namespace else {})
            if admitted and scaler.spec.pool_ref.name == pool.key.name:
                yield from (pod.key for pod in self._pods[scaler.key])
