"""`brownout plan`: files in the place of what is there, and what two plans of one moment differ in."""

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from brownout.api.resources import BY_KIND, InvalidObject, Key, Stored, decode
from brownout.cli.main import main
from brownout.cli.planning.differences import differences, text
from brownout.cli.planning.facts import replaced
from brownout.cli.planning.looking import Looked, planned
from brownout.cli.validation.manifests import read
from support.build import NOW, policy, pool, scaler, snapshot
from support.examples import example


def looked(*things: Any) -> Looked:
    seen = snapshot(*things)
    return Looked(snapshot=seen, plan=planned(seen, now=NOW))


def a_shortage(**of_policy: Any) -> list[Any]:
    """Twelve GPUs of load on eight ready ones."""
    offered = {"pro": 2.0, "plus": 2.0, "free": 4.0, "free/new-accounts": 4.0}
    return [pool(8), scaler(replicas=8, most=8), policy(offered=offered, **of_policy)]


def facts(*bodies: dict[str, Any]) -> dict[str, dict[Key, Any]]:
    found: dict[str, dict[Key, Any]] = {kind: {} for kind in BY_KIND}
    for body in bodies:
        one = decode(BY_KIND[body["kind"]], body, 5.0)
        found[body["kind"]][one.key] = one
    return found


def manifests(*bodies: dict[str, Any]) -> list[Any]:
    return read("files", yaml.safe_dump_all(bodies))


TIER = example("UserTier", "free", **{"status.tried": 3, "metadata.uid": "u-1", "metadata.generation": 4})


def test_a_file_gives_the_spec_and_the_cluster_keeps_its_status() -> None:
    before = facts(TIER)
    after = replaced(before, manifests(example("UserTier", "free", **{"spec.priority": 7})), namespace="x", now=NOW)
    (key, found) = next(iter(after["UserTier"].items()))
    assert (key, found.spec.priority, found.status.tried, found.uid) == (Key("media", "free"), 7, 3, "u-1")
    assert (found.generation, found.created_at) == (5, 5.0)
    assert before["UserTier"][key].spec.priority == 10


def test_a_file_that_says_what_is_there_changes_nothing() -> None:
    before = facts(TIER)
    assert replaced(before, manifests(example("UserTier", "free")), namespace="x", now=NOW) == before


def test_what_is_new_is_made_now_and_has_no_status() -> None:
    new = {
        "apiVersion": "brownout.dev/v1alpha1",
        "kind": "UserTier",
        "metadata": {"name": "new"},
        "spec": {"priority": 1},
    }
    found = replaced(facts(TIER), manifests(new), namespace="games", now=NOW)["UserTier"][Key("games", "new")]
    assert isinstance(found, Stored)
    assert (found.created_at, found.status.tried) == (NOW, 0)


def test_what_cannot_be_read_stands_in_place_of_what_could() -> None:
    broken = facts(TIER)
    broken["UserTier"][Key("media", "free")] = InvalidObject(Key("media", "free"), "it cannot be read")
    found = replaced(broken, manifests(example("UserTier", "free")), namespace="x", now=NOW)
    assert isinstance(found["UserTier"][Key("media", "free")], Stored)


def test_the_same_state_of_affairs_twice_differs_in_nothing() -> None:
    assert differences(looked(*a_shortage()), looked(*a_shortage())) == []


def test_a_shortage_of_this_moment_is_planned_for_and_cells_that_differ_are_told() -> None:
    before, after = (
        looked(*a_shortage()),
        looked(*a_shortage(tiers={"pro": "Always", "plus": "Auto", "free": "Always"})),
    )
    found = {one.what: (one.was, one.becomes) for one in differences(before, after) if one.kind == "cell"}
    assert found["media/image for free/new-accounts"][1] == "full"
    assert found["media/image for free/new-accounts"][0] != "full"
    assert "media/image for pro" not in found


def test_replicas_and_pools_that_differ_are_told_with_the_rule() -> None:
    offered = {"pro": 4.0}
    before = looked(pool(16), scaler(replicas=5), policy(offered=offered))
    after = looked(pool(8), scaler(replicas=5, least=7), policy(offered=offered))
    printed = text(differences(before, after))
    assert "~ pool gpus: 16 GPUs, " in printed
    assert "~ scaler media/image: " in printed
    assert " -> 7 replicas\n    MinReplicas: " in printed


def test_what_is_new_and_what_is_gone_has_a_mark_of_its_own() -> None:
    one, two = policy(offered={"pro": 1.0}), policy("video", offered={"pro": 1.0})
    both, alone = looked(pool(), scaler(), one, two), looked(pool(), scaler(), one)
    assert "+ cell media/video for pro: full" in text(differences(alone, both)).splitlines()
    assert "- cell media/video for pro: full" in text(differences(both, alone)).splitlines()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-f", "/nowhere"], "error: /nowhere: no such file or folder"),
        (["-f", "-", "--kubeconfig", "/nowhere"], "error: --kubeconfig: /nowhere: no such file"),
    ],
)
def test_what_cannot_be_read_is_two_and_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["plan", *words]) == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_a_file_that_the_api_server_would_refuse_is_refused_with_object_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "media"}}
    kubeconfig = {"current-context": "here", "contexts": [here], "users": [{"name": "u", "user": {"token": "t"}}]}
    kubeconfig["clusters"] = [
        {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    ]  # not asked: the file comes first
    (place := tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    (file := tmp_path / "tier.yaml").write_text(yaml.safe_dump(example("UserTier", "free", **{"spec.prio": 7})))
    assert main(["plan", "-f", str(file), "--kubeconfig", str(place)]) == 2
    assert "UserTier media/free: spec.prio: there is no such field; write priority" in capsys.readouterr().err
