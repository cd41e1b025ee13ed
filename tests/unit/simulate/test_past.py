"""A scenario of the past: what is made of readings, and what is said where they are silent."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import Audience
from brownout.observe.sources import Source
from brownout.simulate.from_prometheus import from_prometheus, seconds
from brownout.simulate.manifests import Manifests
from brownout.simulate.past.history import Span, decode, source_of
from brownout.simulate.past.manifests import choose, read_bodies, write_and_load
from brownout.simulate.past.readings import Readings, filled, questions
from brownout.simulate.past.world import World, world
from brownout.simulate.scenario import ScenarioError
from brownout.simulate.shipped import shipped

MEDIA = shipped()["s02-step"].parent / "manifests" / "media"
SPAN = Span(start=0.0, step=30.0, count=21)
IMAGE, FREE, NEW = Key("media", "image"), Audience("free", ""), Audience("free", "new-accounts")


@pytest.fixture
def manifests(tmp_path: Path) -> Manifests:
    return write_and_load(choose(read_bodies(MEDIA), "media"), tmp_path, "media")


def readings(**more: Any) -> Readings:
    """Four images a second for free users, all let through; 24 GPUs."""
    given: dict[str, Any] = {
        "offered": {IMAGE: {FREE: np.full(21, 4.0)}},
        "admitted": {IMAGE: {FREE: np.full(21, 4.0)}},
        "ready": {},
        "work": {},
        "gpus": np.full(21, 24.0),
        "nodes": (),
    }
    return Readings(**{**given, **more})


def made(manifests: Manifests, **more: Any) -> World:
    return world(manifests, readings(**more), SPAN, name="past", summary="")


def test_a_tier_that_the_manifests_do_not_have_is_said_to_be_left_out_where_anybody_of_it_asked(
    manifests: Manifests,
) -> None:
    """A server may count those whose tier it does not know, and there may be none."""
    nobody, somebody = np.zeros(21), np.append(np.full(20, np.nan), 1.0)

    def said(values: np.ndarray) -> str:
        offered = {IMAGE: {FREE: np.full(21, 4.0), Audience("unknown"): values}}
        return " ".join(made(manifests, offered=offered).unknown)

    assert "unknown is no tier or cohort" not in said(nobody)
    assert "unknown is no tier or cohort of the manifests: left out" in said(somebody)


def test_times_are_read_with_their_unit() -> None:
    assert [seconds(text, "--last") for text in ("30s", "90m", "24h", "1.5d")] == [30, 5400, 86400, 129600]


@pytest.mark.parametrize("text", ["", "24", "0h", "1w", "-3h", "h"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"--last: found .*write a time such as 30s"):
        seconds(text, "--last")


def test_less_than_ten_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="at least ten times --step"):
        from_prometheus("http://127.0.0.1:1", [], tmp_path, last="2m", step="30s", namespace="media", now=0.0)


def test_a_password_stands_in_the_address_and_in_no_message() -> None:
    source = source_of("https://me:s%40cret@prometheus.example:9443/base/")
    assert (source.username, source.password) == ("me", "s@cret")
    assert source.url == "https://prometheus.example:9443/base"
    with pytest.raises(ScenarioError) as error:
        decode(b"", source=source, status=401)
    assert "s@cret" not in str(error.value)
    assert "s%40cret" not in str(error.value)


@pytest.mark.parametrize("url", ["localhost:9090", "ftp://x", "http://", "http://x:port"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ScenarioError, match="write one such as http://localhost:9090"):
        source_of(url)


def test_what_prometheus_says_of_an_error_is_kept() -> None:
    answer = decode(b'{"status":"error","error":"too many samples"}', source=Source(url="http://p"), status=422)
    assert answer == Missing("Prometheus says (HTTP 422): too many samples")


def test_gaps_are_drawn_straight_and_counted_and_before_the_first_value_nobody_asked() -> None:
    gap = float("nan")
    whole, gaps = filled(np.array([gap, 2.0, gap, gap, 8.0, gap]))
    assert whole.tolist() == [0, 2, 4, 6, 8, 0]
    assert gaps == 2


def test_lists_are_unfolded_and_other_namespaces_left_out(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(
        """
        apiVersion: v1
        kind: List
        items:
          - {apiVersion: brownout.dev/v1alpha1, kind: GPUPool, metadata: {name: used}, spec: {}}
          - {apiVersion: brownout.dev/v1alpha1, kind: GPUPool, metadata: {name: other}, spec: {}}
          - {apiVersion: brownout.dev/v1alpha1, kind: InferenceScaler, metadata: {name: a, namespace: media}, spec: {poolRef: {name: used}}, status: {}}
          - {apiVersion: brownout.dev/v1alpha1, kind: UserTier, metadata: {name: a, namespace: media}}
          - {apiVersion: brownout.dev/v1alpha1, kind: UserTier, metadata: {name: b, namespace: games}}
          - {apiVersion: brownout.dev/v1alpha1, kind: FeaturePolicy, metadata: {name: a, namespace: media}}
          - {apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: media}}
        """
    )
    kept = choose(read_bodies(tmp_path / "all.yaml"), "media")
    assert [(body["kind"], body["metadata"]["name"]) for body in kept] == [
        ("GPUPool", "used"),
        ("InferenceScaler", "a"),
        ("UserTier", "a"),
        ("FeaturePolicy", "a"),
    ]
    assert all("status" not in body for body in kept)


def test_a_namespace_without_objects_is_told_where_there_are_some() -> None:
    bodies = [
        {"apiVersion": "brownout.dev/v1alpha1", "kind": "UserTier", "metadata": {"name": "a", "namespace": "games"}}
    ]
    with pytest.raises(ScenarioError, match="no GPUPool in namespace media; there are objects in games"):
        choose(bodies, "media")


def test_the_operators_own_queries_are_asked(manifests: Manifests) -> None:
    asked = questions(manifests)
    offered = asked.demand[IMAGE, "offered"].query
    assert (
        offered
        == 'sum by (tier, cohort) (rate(brownout_feature_offered_total{feature="image",namespace="media"}[30s]))'
    )
    assert asked.work["image"].query == "sum(rate(gpu_work_seconds_total{workload='image'}[30s]))"


def test_costs_are_learned_from_work_while_all_were_let_through(manifests: Manifests) -> None:
    """An image is declared as one GPU-second; four a second need eight GPUs, except where half of them were refused."""
    admitted = np.full(21, 4.0)
    admitted[10:] = 2.0
    work = np.where(np.arange(21) < 10, 8.0, 4.0)
    learned = made(manifests, admitted={IMAGE: {FREE: admitted}}, work={"image": work})
    assert learned.fields["workloads"]["image"]["costFactor"] == 2.0
    assert "costFactor" not in learned.fields["workloads"]["chat"]
    assert any("image: requests cost 2.00 of what is declared" in line for line in learned.known)


def test_demand_that_was_refused_is_said_to_be_uncertain(manifests: Manifests) -> None:
    refused = made(manifests, admitted={IMAGE: {FREE: np.full(21, 3.0)}})
    assert any(
        line.startswith("Hidden demand: 25.0 % of what was offered was not let through") for line in refused.unknown
    )


def test_who_is_no_cell_is_left_out_with_a_word(manifests: Manifests) -> None:
    gold = made(manifests, offered={IMAGE: {FREE: np.full(21, 4.0), Audience("gold", ""): np.full(21, 1.0)}})
    assert list(gold.rates) == ["image-free.csv"]
    assert any("gold is no tier or cohort of the manifests" in line for line in gold.unknown)
    assert any("no series of free/new-accounts, plus, pro" in line for line in gold.unknown)


def test_nobody_who_asked_makes_no_scenario(manifests: Manifests) -> None:
    with pytest.raises(ScenarioError, match="nobody asked for anything"):
        made(manifests, offered={IMAGE: {FREE: np.zeros(21)}})


@pytest.mark.parametrize(
    ("given", "nodes", "each"),
    [
        ({"gpus": np.full(21, 24.0)}, 3, 8),
        ({"gpus": np.full(21, 12.0)}, 2, 6),
        ({"gpus": None, "nodes": (4, 4, 4)}, 3, 4),
    ],
)
def test_the_pool_is_as_large_as_it_was(manifests: Manifests, given: dict[str, Any], nodes: int, each: int) -> None:
    assert made(manifests, **given).fields["pool"] == {"nodes": nodes, "gpusPerNode": each}


def test_a_pool_of_unknown_size_is_no_guess(manifests: Manifests) -> None:
    with pytest.raises(
        ScenarioError, match=r"GPUPool media: how many GPUs there were is not known.*write capacity.gpus"
    ):
        made(manifests, gpus=None)
