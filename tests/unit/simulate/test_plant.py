"""The simulated world: what becomes of requests, and of what a controller sets."""

from pathlib import Path

import numpy as np
import pytest

from brownout.api.resources import Key
from brownout.decide.outcome import CellKey, Level
from brownout.decide.snapshot import Audience
from brownout.simulate.controller import Action
from brownout.simulate.plant import Plant
from brownout.simulate.run import Prepared
from support.small_world import Scripted, demand, run, small

PRO, FREE = 1, 0
"""Cells in the order of their keys."""
FREE_KEY = CellKey(Key("media", "image"), Audience("free", ""))
BURST = {"shape": "step", "base": 0, "peak": 12, "at": 20, "hold": 100}
DENY_FREE = Action(levels={FREE_KEY: Level(2)})


def test_every_request_is_answered_waiting_or_in_service_where_nobody_is_refused_or_gives_up(tmp_path: Path) -> None:
    scenario = small(tmp_path, demand=demand(free=8), image={"timeoutSeconds": 1000})
    prepared = Prepared(scenario)
    plant = Plant(prepared.layout, prepared.asks(1), prepared.streams, 1)
    while not plant.done:
        plant.tick()
    record = plant.record("nobody")
    in_the_system = plant.truth().workloads["image"].concurrency
    assert in_the_system
    assert record.asked.sum() == record.good.sum() + record.late.sum() + in_the_system
    assert record.asked.sum() == record.admitted.sum() == len(prepared.asks(1).at)


def test_what_is_asked_before_a_quiet_time_is_all_answered_in_it(tmp_path: Path) -> None:
    record = run(small(tmp_path, seconds=400, demand=demand(pro=0, free=BURST), image={"timeoutSeconds": 1000}))
    assert record.asked.sum() > 1000
    assert record.good.sum() + record.late.sum() == record.asked.sum()
    assert record.backlog[-1].sum() == pytest.approx(0.0, abs=1e-6)


def test_who_waits_for_longer_than_the_timeout_gives_up(tmp_path: Path) -> None:
    scenario = small(tmp_path, image={"startReplicas": 0, "timeoutSeconds": 30}, users={"retryShare": 0})
    watching = Scripted()
    record = run(scenario, watching)
    waiting = watching.seen[-1].workloads["image"].waiting
    assert waiting is not None
    assert record.good.sum() + record.late.sum() == 0
    assert 0 < waiting < 2 * 2.0 * 35


def test_tiered_servers_keep_payers_in_time_where_fifo_servers_do_not(tmp_path: Path) -> None:
    shares = {}
    for order in ("Tiered", "FIFO"):
        record = run(small(tmp_path, demand=demand(free=8), image={"order": order}))
        shares[order] = record.good[:, PRO].sum() / record.asked[:-4, PRO].sum()
    assert shares["Tiered"] > 0.98
    assert shares["FIFO"] < 0.5


def test_full_batches_do_as_much_work_as_there_are_gpus(tmp_path: Path) -> None:
    record = run(small(tmp_path, demand=demand(free=20), image={"batch": 8, "overhead": 0.6}))
    done = record.good.sum() + record.late.sum()
    assert done == pytest.approx(4 * 300, rel=0.02)


@pytest.mark.parametrize(("objective", "in_time"), [(2.6, 1.0), (2.4, 0.0)])
def test_a_request_alone_in_a_batch_is_served_faster_but_wastes_most_of_the_gpu(
    tmp_path: Path, objective: float, in_time: float
) -> None:
    """A quarter of a batch of 4 with an overhead of a half takes 0.5 + 0.5 / 4 of a full one's 4 s."""
    image = {"batch": 4, "overhead": 0.5, "startReplicas": 1, "objectiveSeconds": objective}
    record = run(small(tmp_path, seconds=900, demand=demand(pro=0, free=0.008), image=image))
    assert record.asked.sum() >= 3
    assert record.good.sum() == in_time * record.asked.sum()


def test_a_cheaper_variant_is_served_for_its_own_cost_and_quality(tmp_path: Path) -> None:
    lite = Scripted(lambda seen: Action(levels={FREE_KEY: Level(1)}))
    record = run(small(tmp_path, demand=demand(pro=0, free=20)), lite)
    assert record.good.sum() + record.late.sum() == pytest.approx(4 * 300 / 0.5, rel=0.03)
    later = slice(2, None)  # the flags need a second to tell
    assert record.value[later].sum() == pytest.approx(0.5 * record.good[later].sum())


def test_a_percentage_gives_that_share_of_users_the_better_variant(tmp_path: Path) -> None:
    part = Scripted(lambda seen: Action(levels={FREE_KEY: Level(0, 30)}))
    record = run(small(tmp_path, demand=demand(pro=0, free=3, users=2000)), part)
    assert record.value[2:].sum() / record.good[2:].sum() == pytest.approx(0.3 + 0.7 * 0.5, abs=0.03)


def test_denying_a_cell_cancels_what_it_has_queued_once_the_flags_know(tmp_path: Path) -> None:
    scenario = small(tmp_path, demand=demand(free=20), flagDelaySeconds=5, users={"retryShare": 0})
    record = run(scenario, Scripted(lambda seen: DENY_FREE if seen.at >= 150 else Action()))
    told = 150 // 5
    assert record.backlog[told - 1, 0] > 100
    assert record.backlog[told + 1, 0] < 10
    assert record.admitted[told + 1 :, FREE].sum() == 0


def test_a_user_who_retries_is_asked_for_once_and_offered_each_time(tmp_path: Path) -> None:
    users = {"retryShare": 1, "retries": 3, "retrySeconds": 2, "hiddenShare": 0}
    rate = {"shape": "step", "base": 0, "peak": 4, "at": 20, "hold": 100}
    record = run(small(tmp_path, demand=demand(pro=0, free=rate), users=users), Scripted(lambda seen: DENY_FREE))
    assert record.offered.sum() == 4 * record.asked.sum()
    assert record.admitted.sum() == record.good.sum() == 0


def test_a_retry_that_succeeds_counts_where_the_user_first_asked(tmp_path: Path) -> None:
    users = {"retryShare": 1, "retries": 20, "retrySeconds": 10, "hiddenShare": 0}
    rate = {"shape": "step", "base": 0, "peak": 2, "at": 20, "hold": 60}
    opened = Scripted(lambda seen: DENY_FREE if seen.at < 120 else Action())
    record = run(small(tmp_path, demand=demand(pro=0, free=rate), users=users), opened)
    late_first = 120 // 5
    assert record.good[late_first:].sum() == 0
    assert record.good[:late_first].sum() > 0.9 * record.asked.sum()


def test_hidden_users_are_not_offered_at_all(tmp_path: Path) -> None:
    for share, offered in ((1, 0.0), (0, 1.0)):
        users = {"hiddenShare": share, "retryShare": 0}
        record = run(small(tmp_path, demand=demand(pro=0), users=users), Scripted(lambda seen: DENY_FREE))
        assert record.offered[2:].sum() == offered * record.asked[2:].sum()


def test_a_quota_serves_each_user_so_often(tmp_path: Path) -> None:
    once = Scripted(lambda seen: Action(quotas={FREE_KEY: 1}))
    record = run(small(tmp_path, demand=demand(pro=0, free=1.5, users=20), users={"retryShare": 0}), once)
    assert record.user_good.max() <= 2  # a second one may be in service when the first is answered
    assert record.good.sum() < 45


def test_new_replicas_serve_after_their_cold_start(tmp_path: Path) -> None:
    scenario = small(tmp_path, image={"coldStartSpread": 0})
    record = run(scenario, Scripted(lambda seen: Action(replicas={"image": 6 if seen.at >= 100 else 4})))
    ready = record.ready[:, 0]
    assert ready[100 // 5] == 4
    assert record.held[100 // 5, 0] == 6
    assert ready[125 // 5] == 4
    assert ready[135 // 5] == 6


def test_replicas_beyond_the_gpus_are_pending(tmp_path: Path) -> None:
    record = run(small(tmp_path), Scripted(lambda seen: Action(replicas={"image": 11})))
    assert record.held[-1, 0] == 8
    assert record.pending[-1, 0] == 3


def test_lost_nodes_take_their_gpus_and_requests_wait(tmp_path: Path) -> None:
    scenario = small(tmp_path, pool={"nodes": 2, "gpusPerNode": 2}, events=[{"at": 100, "nodes": -1}])
    record = run(scenario)
    assert record.gpus[100 // 5 - 1] == 4
    assert record.gpus[-1] == 2
    assert record.ready[-1, 0] == 2
    assert record.pending[-1, 0] == 2


def test_metrics_are_seen_a_delay_after_they_were_scraped(tmp_path: Path) -> None:
    watching = Scripted()
    run(small(tmp_path, metrics={"scrapeSeconds": 10, "delaySeconds": 4}), watching)
    for seen in watching.seen[8:]:
        assert 4 <= seen.at - seen.measured_at < 14
        assert seen.measured_at % 10 == 0


def test_in_an_outage_everything_measured_is_missing_and_nothing_is_zero(tmp_path: Path) -> None:
    watching = Scripted()
    record = run(small(tmp_path, faults=[{"at": 100, "seconds": 60, "fault": "metrics"}]), watching)
    for seen in watching.seen[100 // 5 : 160 // 5]:
        image = seen.workloads["image"]
        assert (image.busy, image.concurrency, image.backlog, image.work) == (None, None, None, None)
        assert all(cell.offered is None for cell in seen.cells.values())
    assert watching.seen[160 // 5].workloads["image"].busy is not None
    assert np.flatnonzero(record.stale).tolist() == list(range(100 // 5, 160 // 5))


def test_measured_rates_are_those_of_the_users(tmp_path: Path) -> None:
    watching = Scripted()
    run(small(tmp_path, demand=demand(free=4), metrics={"noise": 0}), watching)
    offered = [seen.cells[FREE_KEY].offered for seen in watching.seen[10:]]
    assert np.mean([rate for rate in offered if rate is not None]) == pytest.approx(4, rel=0.1)


def test_a_restart_is_told_to_the_controller_once(tmp_path: Path) -> None:
    watching = Scripted()
    record = run(small(tmp_path, faults=[{"at": 102, "fault": "restart"}]), watching)
    assert len(watching.restarted_at) == 1
    assert record.restarts == (102.0,)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    scenario = small(tmp_path, demand=demand(free=8))
    first, again, other = run(scenario, seed=3), run(scenario, seed=3), run(scenario, seed=4)
    for field in ("asked", "good", "late", "offered", "backlog", "user_good"):
        assert np.array_equal(getattr(first, field), getattr(again, field))
    assert not np.array_equal(first.asked, other.asked)


def test_every_controller_meets_the_same_users(tmp_path: Path) -> None:
    scenario = small(tmp_path)
    idle, denying = run(scenario), run(scenario, Scripted(lambda seen: DENY_FREE))
    assert np.array_equal(idle.asked, denying.asked)
    assert np.array_equal(idle.user_asked, denying.user_asked)
    assert idle.good.sum() > denying.good.sum()


def test_writes_are_counted_when_something_changes_and_not_when_it_is_said_again(tmp_path: Path) -> None:
    record = run(small(tmp_path), Scripted(lambda seen: Action(replicas={"image": 5}, levels={FREE_KEY: Level(1)})))
    assert record.writes.sum() == 2


def test_the_truth_has_neither_noise_nor_delay(tmp_path: Path) -> None:
    scenario = small(tmp_path, faults=[{"at": 100, "seconds": 60, "fault": "metrics"}])
    watching = Scripted()
    Prepared(scenario).run(watching, name="o3", seed=1, truth=True)
    assert all(seen.measured_at == seen.at for seen in watching.seen)
    assert all(seen.cells[FREE_KEY].offered == 1.5 for seen in watching.seen)
