"""The API server is away, slow, busy or silent: nothing is taken and nothing is given back for it, and the operator goes on."""

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from brownout_localcluster.objects import Objects
from support.api_proxy import ApiProxy, decides, is_check
from support.beside import beside
from support.chronicle import chronicle
from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World, ours, plan
from support.size import sized
from support.surge import DENIED, converges, everything_comes_back, lasting_surge
from support.waiting import holds_for, wait_for

GONE_SECONDS = sized(bounded=20, whole=300)
BACK_SECONDS = 60.0
STEP_SECONDS = 10
BREAKS = sized(bounded=True, whole=False)
"""Whether silent watches break after a while; else they stay silent, which is noticed when a minute's bookmark is missing."""
NOTICED_SECONDS = sized(bounded=20, whole=120)


def lives(operator: Operator) -> bool:
    """Whether its loop turns."""
    return not operator.ended() and "the last tick ended" in operator.get("/livez")


def test_an_api_server_that_is_gone_for_long_costs_nothing_and_is_waited_for(world: World, operator: Operator) -> None:
    lasting_surge(world)
    api_server = world.cluster.component("kube-apiserver")
    with chronicle(world) as seen:
        api_server.stop()
        holds_for(lambda: lives(operator), "the operator lives", seconds=GONE_SECONDS)
        api_server.start()
        wait_for(lambda: world.served("free"), "the API server is back", seconds=BACK_SECONDS)
        before = operator.metric("brownout_tick_duration_seconds_count")
        wait_for(lambda: operator.metric("brownout_tick_duration_seconds_count") > before + 3, "it ticks")
    seen.nothing_changed()
    everything_comes_back(world)


def test_an_api_server_that_answers_after_two_seconds_is_served_all_the_same(
    world: World, operator: Operator, api: ApiProxy
) -> None:
    world.wait_for_replicas(2)
    api.delay_seconds = 2
    with chronicle(world) as seen:
        lasting_surge(world)
    seen.no_replica_was_lost()
    api.delay_seconds = 0
    converges(world)


def test_watches_that_break_again_and_again_lose_no_change(world: World, operator: Operator, api: ApiProxy) -> None:
    world.wait_for_replicas(2)
    with chronicle(world) as seen:
        for count in range(sized(bounded=3, whole=20)):
            assert api.drop_watches() >= 11
            name = f"tier-{count}"
            world.namespace.create(ours("UserTier", name, priority=20 + count, match=[plan(name)]))
            wait_for(lambda: world.status("UserTier", "free")["tried"] == 3 + count, "the new tier is known")  # noqa: B023
    seen.nothing_changed()


def test_a_watch_that_goes_silent_is_noticed(world: World, operator: Operator, api: ApiProxy) -> None:
    """As when a machine between the two is switched off: no goodbye, and nothing comes any more."""
    world.wait_for_replicas(2)
    with chronicle(world) as seen:
        assert api.silence_watches() >= 11
        world.namespace.create(ours("UserTier", "plus", priority=50, match=[plan("plus")]))
        holds_for(lambda: world.status("UserTier", "free")["tried"] == 2, "nobody has told the operator", seconds=3)
        if BREAKS:
            api.drop_watches()
        wait_for(
            lambda: world.status("UserTier", "free")["tried"] == 3, "the new tier is known", seconds=NOTICED_SECONDS
        )
    seen.nothing_changed()


def test_what_was_deleted_while_the_watch_was_broken_is_noticed(world: World, operator: Operator) -> None:
    with deleted_unseen(world, operator):
        pass
    wait_for(lambda: world.status("UserTier", "free")["tried"] == 2, "the operator knows", seconds=60)


def test_what_was_deleted_unseen_is_noticed_within_seconds_where_checks_are_refused_at_first(
    world: World, operator: Operator, api: ApiProxy
) -> None:
    """An API server that has just come back turns many away."""
    with deleted_unseen(world, operator):
        api.refuses = is_check
    wait_for(lambda: "were deleted unseen cannot be checked (HTTP 429)" in operator.log(), "it is said", seconds=60)
    api.refuses = lambda _: False
    again = "whether usertiers were deleted unseen is checked again"
    wait_for(lambda: again in operator.log(), "it is checked again", seconds=40)
    wait_for(lambda: world.status("UserTier", "free")["tried"] == 2, "the operator knows", seconds=40)


@contextmanager
def deleted_unseen(world: World, operator: Operator) -> Iterator[None]:
    """A tier is deleted while the operator sleeps and the API server restarts; at the end of the block it wakes."""
    world.namespace.create(ours("UserTier", "professional", priority=80, match=[plan("pro")]))
    world.wait_for_sentence("UserTier", "professional", "Ready", "matches the same users")
    wait_for(lambda: world.status("UserTier", "free")["tried"] == 3, "the new tier is known")
    api_server = world.cluster.component("kube-apiserver")
    operator.send(signal.SIGSTOP)
    world.namespace.delete(API_VERSION, "UserTier", "professional")
    api_server.stop()
    api_server.start()
    wait_for(lambda: world.namespace.find(API_VERSION, "UserTier", "professional") is None, "it is gone", seconds=60)
    yield
    operator.send(signal.SIGCONT)


def test_requests_that_the_api_server_refuses_for_its_load_are_made_again(
    world: World, operator: Operator, api: ApiProxy
) -> None:
    """Everything that the operator asks is answered with 429, watches that broke included.

    The load wants a third replica and fits on two, so that nothing has to be taken however long the API server refuses.
    """
    world.wait_for_replicas(2)
    with chronicle(world) as seen:
        api.too_many_requests = True
        api.drop_watches()
        wait_for(lambda: "TooManyRequests" in operator.log(), "watches are refused")
        world.set_load(pro=1.5, free=0.45)
        wait_for(lambda: "does not take replicas now (HTTP 429)" in operator.log(), "the operator says so")
        holds_for(lambda: lives(operator) and world.replicas() == 2, "nothing can be written", seconds=3)
        api.too_many_requests = False
        world.wait_for_replicas(3, seconds=60)
        wait_for(
            lambda: world.status("InferenceScaler", "image")["replicas"]["ready"] == 3, "watches are back", seconds=60
        )
        assert world.condition("InferenceScaler", "image", "Ready")["status"] == "True"
    seen.no_replica_was_lost()
    assert seen.served == [seen.served[0]]


@pytest.mark.parametrize("refusal", ["everything-is-too-much", "the-policys-status-is-forbidden"])
def test_what_cannot_be_written_has_not_happened(world: World, operator: Operator, api: ApiProxy, refusal: str) -> None:
    """The load falls while the API server refuses: the way back begins once it can be written, and has all of its steps."""
    restore = {"afterSeconds": 5, "stepPercent": 50, "stepSeconds": STEP_SECONDS}
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": {"restore": restore}})
    lasting_surge(world)
    version = world.status("FeaturePolicy", FEATURE)["version"]
    with chronicle(world) as seen:
        if refusal == "everything-is-too-much":
            api.too_many_requests = True
        else:
            api.refuses, api.refused_with = decides, 403
        world.set_load(pro=0.5, free=0.5, admitted=0)
        wait_for(lambda: cannot_write(operator), "the operator says so", seconds=60)
        since = time.monotonic()
        holds_for(lambda: lives(operator) and world.served("free") == DENIED, "nothing is given back", seconds=20)
        tries = [at for at in api.refused if at > since]
        assert operator.metric("brownout_cell_percent", feature=FEATURE, tier="free") == 100
        assert operator.metric("brownout_cell_variant", feature=FEATURE, tier="free") == 1
        assert operator.metric("brownout_cell_flips_total", feature=FEATURE, direction="restored") == 0
        assert "is back" not in operator.log()
        assert "users keep what they have until it can be" in operator.log()
        if refusal == "the-policys-status-is-forbidden":
            assert 2 <= len(tries) <= 6, tries  # after 1, 2, 4, 8 s and so on
        api.too_many_requests, api.refuses = False, lambda _: False
        lifted = time.monotonic()
        world.wait_for_variant("free", "full", seconds=120)
    (_, before), (half_at, half), (whole_at, whole), *more = seen.levels("free")
    assert (before, half, whole, more) == (0, 50, 100, []), seen.states
    assert whole_at - half_at >= STEP_SECONDS - 1
    assert half_at - lifted <= 35
    assert world.status("FeaturePolicy", FEATURE)["version"] == version + 2
    wait_for(lambda: not cannot_write(operator), "everything is written again")


def cannot_write(operator: Operator) -> bool:
    """Whether it says that a policy's status cannot be written."""
    return operator.metric("brownout_status_unwritten", kind="FeaturePolicy") == 1


def test_an_etcd_that_restarts_is_waited_for(world: World, operator: Operator) -> None:
    lasting_surge(world)
    etcd = world.cluster.component("etcd")
    with chronicle(world) as seen:
        etcd.stop()
        holds_for(lambda: lives(operator), "the operator lives", seconds=sized(bounded=5, whole=60))
        etcd.start()
        wait_for(lambda: world.served("free"), "etcd is back", seconds=BACK_SECONDS)
        world.namespace.create(ours("UserTier", "plus", priority=50, match=[plan("plus")]))
        wait_for(lambda: world.status("UserTier", "free")["tried"] == 3, "the watches are back", seconds=BACK_SECONDS)
    seen.nothing_changed()
    converges(world)


def test_others_who_write_the_same_objects_all_the_time_hold_nothing_up(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    with storm(world) as writes, chronicle(world) as seen:
        lasting_surge(world)
        everything_comes_back(world)
    assert len(writes) > 100
    seen.no_way_back_twice("free")
    assert "cannot be written" not in operator.log()


@contextmanager
def storm(world: World) -> Iterator[list[str]]:
    """Somebody changes the workload, its scaler, the policy, the tier and the pool, each ten times a second.

    Faster, it is not the operator that falls behind: Deployments' own controller, which copies annotations to ReplicaSets, has 20 writes a second.
    """
    writes: list[str] = []
    objects = Objects(world.cluster.kubeconfig)
    named = [
        ("apps/v1", "Deployment", "image"),
        (API_VERSION, "InferenceScaler", "image"),
        (API_VERSION, "FeaturePolicy", FEATURE),
        (API_VERSION, "UserTier", "free"),
        (API_VERSION, "GPUPool", world.pool),
    ]

    def write(done: threading.Event) -> None:
        for count, (api_version, kind, name) in enumerate(itertools.cycle(named)):
            if done.wait(0.02):
                return
            note = {"metadata": {"annotations": {"storm": str(count)}}}
            objects.patch(api_version, kind, name, note, namespace=world.namespace.name)
            writes.append(name)

    try:
        with beside(write, "storm"):
            yield writes
    finally:
        objects.close()
