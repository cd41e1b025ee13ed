"""Episodes that a scenario does not name, and the GPUs that a flow needs."""

import numpy as np
import pytest

from brownout.simulate.record import Record
from brownout.simulate.scenario import Episode, Simulated
from brownout.simulate.shortage import episodes, needed_gpus, replica_gpus
from support.record_builder import Series, during, record, scenario

TICKS = 360  # 1800 s
COLD = {"image": Simulated(objective_seconds=5.0, cold_start_seconds=180.0)}


def spans(latent: Series, **more: object) -> list[tuple[float, float]]:
    run = record(ticks=TICKS, latent=latent, **more)  # type: ignore[arg-type]
    return [(span.start, span.end) for span in episodes(run, scenario(seconds=1800.0, workloads=COLD))]


def test_episodes_that_the_scenario_names_are_taken() -> None:
    named = scenario(episodes=[(10.0, 20.0)])
    assert episodes(record(latent=100.0), named) == (Episode(start=10.0, end=20.0),)


def test_a_steady_load_that_fits_has_no_episode() -> None:
    assert spans(3.0) == []


def test_demand_beyond_the_pool_is_an_episode_from_its_first_to_its_last_moment() -> None:
    assert spans(during(TICKS, (100, 220, 10.0), otherwise=6.0)) == [(500.0, 1100.0)]


def test_a_rise_within_the_pool_is_an_episode_until_pods_could_have_loaded() -> None:
    ((start, end),) = spans(during(TICKS, (100, TICKS, 6.0), otherwise=2.0))
    assert start == 500.0
    assert end == pytest.approx(500 + 180 + 60, abs=40)


def test_a_slow_rise_that_pods_can_follow_is_none() -> None:
    assert spans(np.linspace(2.0, 6.0, TICKS).tolist()) == []


def test_a_moment_that_a_queue_bridges_is_none() -> None:
    assert spans(during(TICKS, (100, 103, 12.0), otherwise=6.0)) == []


def test_shortages_that_are_close_are_one_episode_and_others_are_two() -> None:
    assert spans(during(TICKS, (100, 130, 10.0), (145, 180, 10.0), otherwise=6.4)) == [(500.0, 900.0)]
    assert spans(during(TICKS, (60, 90, 10.0), (180, 220, 10.0), otherwise=6.4)) == [(300.0, 450.0), (900.0, 1100.0)]


def test_gpus_that_are_lost_make_an_episode() -> None:
    gpus = np.array(during(TICKS, (100, 200, 4.0), otherwise=8.0))
    assert spans(6.0, gpus=gpus) == [(500.0, 1000.0)]


def test_episodes_do_not_depend_on_what_the_controller_did() -> None:
    surge = during(TICKS, (100, 220, 10.0), otherwise=6.0)
    idle = spans(surge, held=1.0, good=0.0)
    busy = spans(surge, held=during(TICKS, (0, 120, 2.0), otherwise=8.0), variant={1: 2.0})
    assert idle == busy


def test_workloads_together_fill_the_pool() -> None:
    two = dict.fromkeys(("image", "video"), COLD["image"])
    run = record(ticks=TICKS, latent={0: 5.0, 1: 4.0}, workloads=("image", "video"))
    assert episodes(run, scenario(seconds=1800.0, workloads=two)) == (Episode(start=0.0, end=1800.0),)


def of_replicas(desired: int, **more: object) -> Record:
    return record(ticks=4, desired=np.full((4, 1), desired), **more)  # type: ignore[arg-type]


def test_a_replicas_gpus_are_seen_from_its_pods_held_or_pending() -> None:
    assert replica_gpus(of_replicas(2, held=8.0)).tolist() == [4]
    assert replica_gpus(of_replicas(4, held=8.0, pending=np.full((4, 1), 8.0))).tolist() == [4]


def test_a_workload_that_never_had_a_pod_counts_by_single_gpus() -> None:
    assert replica_gpus(of_replicas(0, held=0.0)).tolist() == [1]


def test_a_flow_needs_whole_replicas_at_the_target_and_at_least_one() -> None:
    flow = np.array([[0.0], [0.8], [3.2], [3.3]])
    assert needed_gpus(of_replicas(4), flow)[:, 0].tolist() == [1.0, 1.0, 4.0, 5.0]
    assert needed_gpus(of_replicas(1), flow)[:, 0].tolist() == [4.0, 4.0, 4.0, 8.0]
