"""GPUs of a pool: what its nodes have, what quotas allow, and how much of either belongs to somebody else.

Counted per node, because a replica of four GPUs finds no place on four nodes with one GPU each.
"""

from collections.abc import Iterable

from brownout.api.pool import GPUPoolSpec
from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.links import selects
from brownout.decide.snapshot import Node, Quota
from brownout.observe.facts import NodeFact, PodFact, QuotaFact


def pool_nodes(
    spec: GPUPoolSpec, *, nodes: Iterable[NodeFact], pods: Iterable[PodFact], own: frozenset[Key]
) -> tuple[Node, ...] | None:
    """The pool's schedulable, ready nodes by name; None where the pool does not count nodes. `own` are its scalers' pods."""
    if spec.capacity.nodes is None:
        return None
    selector, resource = spec.capacity.nodes.selector, spec.resource_name
    of_others: dict[str, int] = {}
    for pod in pods:
        if pod.node is not None and pod.key not in own and (gpus := pod.requests.get(resource, 0)):
            of_others[pod.node] = of_others.get(pod.node, 0) + gpus
    return tuple(
        Node(name=node.key.name, gpus=node.allocatable[resource], gpus_of_others=of_others.get(node.key.name, 0))
        for node in sorted(nodes, key=lambda n: n.key)
        if node.usable and node.allocatable.get(resource, 0) > 0 and selects(selector, node.labels)
    )


def pool_quotas(
    pool: str, spec: GPUPoolSpec, *, quotas: dict[Key, QuotaFact], pods: Iterable[PodFact], own: frozenset[Key]
) -> tuple[Quota, ...] | Missing:
    """The limits of the pool's quotas. Missing, with a sentence, where one cannot be found or says nothing about its GPUs."""
    found, resource = [], spec.resource_name
    for index, ref in enumerate(spec.capacity.quotas):
        where = f"GPUPool {pool}: spec.capacity.quotas[{index}]"
        fact = quotas.get(Key(ref.namespace, ref.name))
        if fact is None:
            return Missing(
                f"{where}: no ResourceQuota {ref.namespace}/{ref.name}; create it, or remove it from the list"
            )
        if resource not in fact.hard:
            return Missing(
                f"{where}: ResourceQuota {ref.namespace}/{ref.name} has no limit on requests.{resource}; "
                f"write spec.hard: {{requests.{resource}: N}} there, or remove it from the list"
            )
        others = sum(
            pod.requests.get(resource, 0) for pod in pods if pod.key.namespace == ref.namespace and pod.key not in own
        )
        found.append(Quota(namespace=ref.namespace, name=ref.name, gpus=fact.hard[resource], gpus_of_others=others))
    return tuple(found)
