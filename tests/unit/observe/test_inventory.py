"""GPUs of a pool, and workloads in it."""

from brownout.api.pool import LabelSelector, NodeCapacity, QuotaRef
from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import Node, Quota
from brownout.observe.facts import QuotaFact
from brownout.observe.inventory import pool_nodes, pool_quotas
from brownout.observe.pods import Pods
from brownout.observe.workloads import workload
from support.operator_builders import GPU, node, pod, pool, scaler, target

ALL_NODES = NodeCapacity()


def test_only_usable_nodes_that_the_selector_selects_count() -> None:
    spec = pool(nodes=NodeCapacity(selector=LabelSelector(match_labels={"gpu": "h100"}))).spec
    nodes = [node("b", gpu="h100"), node("a", gpu="h100"), node("c", gpu="a10"), node("d", usable=False, gpu="h100")]
    found = pool_nodes(spec, nodes=[*nodes, node("e", 0, gpu="h100")], pods=[], own=frozenset())
    assert found == (Node(name="a", gpus=8), Node(name="b", gpus=8))


def test_what_pods_of_others_hold_is_counted_by_node() -> None:
    pods = [pod("ours", gpus=2), pod("theirs", gpus=3), pod("waiting", gpus=1, node=None), pod("plain", gpus=0)]
    found = pool_nodes(pool(nodes=ALL_NODES).spec, nodes=[node("a")], pods=pods, own=frozenset({Key("media", "ours")}))
    assert found == (Node(name="a", gpus=8, gpus_of_others=3),)


def test_a_pool_that_does_not_count_nodes_has_none_and_not_zero() -> None:
    assert pool_nodes(pool().spec, nodes=[node("a")], pods=[], own=frozenset()) is None


def test_a_quota_bounds_the_pool_less_what_others_use_in_its_namespace() -> None:
    spec = pool(quotas=(QuotaRef(namespace="media", name="q"),)).spec
    pods = [pod("ours", gpus=2), pod("theirs", gpus=3, node=None), pod("elsewhere", namespace="other")]
    quotas = {Key("media", "q"): QuotaFact(key=Key("media", "q"), hard={GPU: 10})}
    found = pool_quotas("h100", spec, quotas=quotas, pods=pods, own=frozenset({Key("media", "ours")}))
    assert found == (Quota(namespace="media", name="q", gpus=10, gpus_of_others=3),)


def test_a_quota_that_is_not_there_is_missing_and_not_endless() -> None:
    spec = pool(quotas=(QuotaRef(namespace="media", name="q"),)).spec
    found = pool_quotas("h100", spec, quotas={}, pods=[], own=frozenset())
    assert isinstance(found, Missing)
    assert "capacity.quotas[0]: no ResourceQuota media/q" in found.message


def test_a_quota_that_says_nothing_about_gpus_is_missing_and_not_endless() -> None:
    spec = pool(quotas=(QuotaRef(namespace="media", name="q"),)).spec
    quotas = {Key("media", "q"): QuotaFact(key=Key("media", "q"), hard={})}
    found = pool_quotas("h100", spec, quotas=quotas, pods=[], own=frozenset())
    assert isinstance(found, Missing)
    assert "requests.nvidia.com/gpu" in found.message


def test_a_workload_has_the_pods_that_its_selector_selects() -> None:
    behind = target(replicas=3)
    pods = Pods([pod("one", app="image"), pod("two", app="chat")]).selected("media", behind.selector)
    found = workload(scaler(), pool=pool().spec, target=behind, pods=pods)
    assert not isinstance(found, Missing)
    assert (found.replicas, [p.name for p in found.pods]) == (3, ["one"])


def test_gpus_of_a_replica_are_what_the_spec_says_or_else_the_template_or_else_a_pod() -> None:
    def gpus(own: int | None, template: int | None, running: int) -> object:
        pods = [pod("one", gpus=running, app="image")]
        found = workload(scaler(gpus_per_replica=own), pool=pool().spec, target=target(gpus=template), pods=pods)
        return found if isinstance(found, Missing) else found.gpus_per_replica

    assert gpus(4, 2, 1) == 4
    assert gpus(None, 2, 1) == 2
    assert gpus(None, None, 1) == 1
    nothing = gpus(None, 0, 0)
    assert isinstance(nothing, Missing)
    assert "write gpusPerReplica: 1" in nothing.message
