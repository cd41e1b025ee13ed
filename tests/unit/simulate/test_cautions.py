"""What one is warned of before a scenario runs."""

from pathlib import Path

import pytest

from brownout.cli.main import main
from brownout.simulate.cautions import cautions
from brownout.simulate.layout import Layout
from brownout.simulate.manifests import load as manifests_of
from brownout.simulate.scenario import Scenario
from brownout.simulate.shipped import load, shipped
from support.small_world import MANIFESTS, small, written

AGREEING = MANIFESTS.replace("gpus: 64", "gpus: 8")


def said(scenario: Scenario) -> tuple[str, ...]:
    return cautions(Layout(scenario, manifests_of(scenario)))


def test_a_full_batch_that_takes_longer_than_the_objective_is_warned_of_with_what_to_write(tmp_path: Path) -> None:
    (found,) = said(small(tmp_path, manifests=AGREEING, image={"batch": 8, "objectiveSeconds": 6}))
    assert "workloads.image: a full batch of first variants takes 8 s (8 x 1 GPU-seconds on 1 GPUs)" in found
    assert "longer than objectiveSeconds (6)" in found
    assert "write objectiveSeconds: 16 (twice a full batch) or a smaller batch" in found


def test_the_batch_is_timed_on_the_replica_s_gpus_by_what_requests_truly_cost(tmp_path: Path) -> None:
    two = AGREEING.replace("gpusPerReplica: 1", "gpusPerReplica: 2")
    assert not said(small(tmp_path, manifests=two, image={"batch": 8, "objectiveSeconds": 6}))
    (found,) = said(small(tmp_path, manifests=two, image={"batch": 8, "objectiveSeconds": 6, "costFactor": 2}))
    assert "8 x 2 GPU-seconds on 2 GPUs" in found


def test_a_batch_that_just_keeps_the_objective_is_not_warned_of(tmp_path: Path) -> None:
    assert not said(small(tmp_path, manifests=AGREEING, image={"batch": 8, "objectiveSeconds": 8}))


@pytest.mark.parametrize("declared", [4, 64])
def test_a_pool_that_the_manifests_size_differently_is_warned_of(tmp_path: Path, declared: int) -> None:
    (found,) = said(small(tmp_path, manifests=MANIFESTS.replace("gpus: 64", f"gpus: {declared}")))
    assert f"pool: 1 nodes of 8 GPUs are 8, and the GPUPool's capacity.gpus is {declared}" in found
    assert "the lesser counts for Brownout, while the oracles are told the hardware" in found


def test_no_scenario_that_comes_along_is_warned_of() -> None:
    assert [sentence for scenario in load(list(shipped())) for sentence in said(scenario)] == []


def test_a_warning_is_said_once_on_standard_error_and_the_scenario_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, seconds=60)
    assert main(["simulate", str(file), "--seeds", "1-2", "--jobs", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("brownout simulate: warning: scenario small: pool: ") == 1
    assert "warning" not in printed.out
