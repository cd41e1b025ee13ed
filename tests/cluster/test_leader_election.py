"""Several operators and one Lease, on a real control plane: one decides, the others are warm, and none writes out of turn."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.operator import Operator
from support.operator_world import World
from support.waiting import holds_for, wait_for

pytest_plugins = ("support.operator_fixtures",)

LEASE = ("coordination.k8s.io/v1", "Lease", "brownout-operator")
DEFAULTS = ("--leader-elect",)
SHORT = (
    *("--leader-elect", "--leader-elect-lease-seconds", "4"),
    *("--leader-elect-renew-deadline-seconds", "2.5", "--leader-elect-retry-seconds", "0.5"),
)


@pytest.fixture
def pair(world: World, tmp_path: Path) -> Iterator[tuple[Operator, Operator]]:
    """Two operators that are not started."""
    place = (world.cluster, world.namespace.name, tmp_path)
    with Operator(*place, started=False) as one, Operator(*place, started=False) as other:
        yield one, other


def start_both(pair: tuple[Operator, Operator], *arguments: str) -> tuple[Operator, Operator]:
    """The first leads, and the second stands by."""
    leader, standby = pair
    leader.start(*arguments)
    standby.launch(*arguments)
    wait_for(lambda: standby.state() == "standby", "the second stands by", seconds=60)
    return leader, standby


def holder(world: World) -> str:
    """Who holds the Lease; empty where nobody does."""
    return str(world.namespace.get(*LEASE)["spec"].get("holderIdentity") or "")


def seconds_until_it_has_ticked(operator: Operator) -> float:
    """How long it takes from now until this operator has decided and published."""
    began = time.monotonic()
    wait_for(lambda: operator.metric("brownout_last_tick_timestamp_seconds") > 0, "it has ticked", seconds=60)
    return time.monotonic() - began


def test_one_decides_and_the_other_is_ready_and_writes_nothing(world: World, pair: tuple[Operator, Operator]) -> None:
    leader, standby = start_both(pair, *SHORT)
    world.wait_for_replicas(2)
    assert (leader.metric("brownout_leader"), standby.metric("brownout_leader")) == (1, 0)
    assert standby.writes() == 0
    assert holder(world) in standby.get("/readyz")
    holds_for(lambda: standby.state() == "standby" and leader.ready(), "they stay what they are", seconds=6)


def test_a_leader_that_is_told_to_end_hands_over_within_five_seconds(
    world: World, pair: tuple[Operator, Operator]
) -> None:
    leader, standby = start_both(pair, *DEFAULTS)
    world.wait_for_replicas(2)
    leader.send(signal.SIGTERM)
    seconds = seconds_until_it_has_ticked(standby)
    assert leader.wait_for_end() == 0
    assert seconds < 5, seconds
    world.set_load(pro=1.5, free=1.8)
    world.wait_for_replicas(4)
    assert standby.metric("brownout_leader") == 1


def test_a_leader_that_is_killed_is_followed_once_its_lease_has_run_out(
    world: World, pair: tuple[Operator, Operator]
) -> None:
    leader, standby = start_both(pair, *SHORT)
    leader.kill()
    seconds = seconds_until_it_has_ticked(standby)
    assert 2 < seconds < 4 + 0.5 + 3, seconds


def test_a_leader_that_was_stopped_for_longer_than_its_lease_writes_nothing_more_and_ends(
    world: World, pair: tuple[Operator, Operator]
) -> None:
    leader, standby = start_both(pair, *SHORT)
    world.wait_for_replicas(2)
    leader.send(signal.SIGSTOP)
    seconds_until_it_has_ticked(standby)
    assert standby.stop() == 0  # so that whatever is written from now on is of the one that was stopped
    world.set_load(pro=1.5, free=1.8)
    wait_for(lambda: holder(world) == "", "the lease is given back")
    leader.send(signal.SIGCONT)
    assert leader.wait_for_end() == 1
    assert world.replicas() == 2
    assert holder(world) == ""
    assert any("leads no more" in line["message"] for line in leader.log_lines())
    leader.start(*SHORT)
    world.wait_for_replicas(4)


def test_a_leader_that_cannot_renew_ends_and_then_waits_for_the_api_server_as_the_standby_does(
    world: World, pair: tuple[Operator, Operator]
) -> None:
    leader, standby = start_both(pair, *SHORT)
    world.wait_for_replicas(2)
    api_server = world.cluster.component("kube-apiserver")
    api_server.stop()
    try:
        assert leader.wait_for_end(seconds=15) == 1
        leader.launch(*SHORT)
        wait_for(lambda: "the API server" in leader.waits_for(), "it waits for the API server")
        assert "live" in standby.get("/livez")
        assert not standby.ended()
    finally:
        api_server.start()
    wait_for(lambda: "deciding" in {leader.state(), standby.state()}, "one of them decides", seconds=60)
    world.set_load(pro=1.5, free=1.8)
    world.wait_for_replicas(4, seconds=60)


def test_a_standby_without_the_right_to_the_lease_says_so_and_is_not_ready(
    world: World, pair: tuple[Operator, Operator]
) -> None:
    operator, _ = pair
    role = ("rbac.authorization.k8s.io/v1", "Role", f"operator-{world.namespace.name}")
    world.namespace.patch(*role, {"rules": []})
    operator.launch(*SHORT)
    wait_for(lambda: "grant the operator get, create and update of leases" in operator.waits_for(), "it says so")
    assert world.replicas() == 1


def test_a_lease_that_somebody_else_takes_ends_the_leader(world: World, pair: tuple[Operator, Operator]) -> None:
    leader, _ = pair
    leader.start(*SHORT)
    world.namespace.patch(*LEASE, {"spec": {"holderIdentity": "somebody else", "leaseDurationSeconds": 60}})
    assert leader.wait_for_end() == 1
    assert "is held by somebody else" in leader.log()


def test_a_label_on_the_lease_costs_nobody_the_lead(world: World, pair: tuple[Operator, Operator]) -> None:
    leader, _ = pair
    leader.start(*SHORT)
    before = holder(world)
    for number in range(5):
        world.namespace.patch(*LEASE, {"metadata": {"labels": {"number": str(number)}}})
    holds_for(lambda: holder(world) == before and leader.ready(), "it goes on leading", seconds=5)
    assert world.namespace.get(*LEASE)["metadata"]["labels"] == {"number": "4"}
