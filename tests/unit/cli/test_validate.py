"""`brownout validate`: what a person sees of wrong manifests."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from brownout.cli.main import main
from brownout.cli.validation.objects import problems
from support.examples import ABSENT, ENGINES, EXAMPLES, SAMPLES, changed, example, objects_in
from support.refusals import BOUNDS, POLICY, RULES, SCALER, TIER, Refusal


def validate(tmp_path: Path, *bodies: dict[str, Any], words: tuple[str, ...] = ()) -> int:
    """Writes manifests to `all.yaml` and validates that."""
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(bodies, sort_keys=False))
    return main(["validate", "-f", str(file), *words])


def everything(*replaced: dict[str, Any]) -> list[dict[str, Any]]:
    """All objects of the full example, some of them replaced."""
    bodies = {(o["kind"], o["metadata"]["name"]): o for o in objects_in(EXAMPLES / "full.yaml")}
    return list((bodies | {(o["kind"], o["metadata"]["name"]): o for o in replaced}).values())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_the_fields_of_every_sample_are_right(sample: Path) -> None:
    for body in objects_in(sample):
        assert body["kind"] == "Namespace" or problems(body) == []


@pytest.mark.parametrize(
    "place", [*EXAMPLES.glob("*.yaml"), *ENGINES, SAMPLES[-1].parent], ids=lambda place: place.name
)
def test_every_set_of_samples_is_valid_without_a_warning(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-f", str(place)]) == 0
    printed = capsys.readouterr()
    assert "0 errors, 0 warnings" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("refusal", RULES, ids=lambda refusal: refusal.title)
def test_a_broken_rule_is_found_offline_in_the_servers_words(refusal: Refusal) -> None:
    assert [problem.message for problem in problems(refusal.body)] == [refusal.offline or refusal.message]


@pytest.mark.parametrize("refusal", BOUNDS, ids=lambda refusal: refusal.title)
def test_a_value_out_of_bounds_is_found_offline(refusal: Refusal) -> None:
    found = problems(refusal.body)
    assert len(found) == 1
    assert "; write" in found[0].message


def test_an_error_names_file_line_object_field_what_was_found_and_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(tmp_path, example(*POLICY, **{"spec.restore.stepPercent": 3})) == 1
    line = (tmp_path / "all.yaml").read_text().splitlines().index("    stepPercent: 3") + 1
    assert capsys.readouterr().err == (
        f"{tmp_path}/all.yaml:{line}: error: FeaturePolicy media/image-generation: spec.restore.stepPercent: "
        "found 3; write a number from 5 to 100\n"
    )


def test_a_lowest_that_names_no_variant_is_found_in_each_tier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = example(*POLICY, **{"spec.tiers[1].lowest": "small", "spec.tiers[2].lowest": "tiny"})
    assert validate(tmp_path, wrong) == 1
    lines = (tmp_path / "all.yaml").read_text().splitlines()
    printed = capsys.readouterr().err.splitlines()
    assert [line.partition(": error: ")[0].rpartition(":")[2] for line in printed] == [
        str(lines.index("    lowest: small") + 1),
        str(lines.index("    lowest: tiny") + 1),
    ]
    assert printed[1].endswith(
        "spec.tiers[2].lowest: tier free: there is no variant 'tiny'; write one of full, lite, denied"
    )


def test_an_unknown_field_is_an_error_with_the_nearest_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(tmp_path, example(*POLICY, **{"spec.tiers[1].availabilty": "Always"})) == 1
    assert "spec.tiers[1].availabilty: there is no such field; write availability\n" in capsys.readouterr().err


def test_words_that_yaml_reads_as_booleans_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tier.yaml"
    text = "{apiVersion: brownout.dev/v1alpha1, kind: UserTier, metadata: {name: x}, spec: {priority: 1, cohorts: [{name: off, match: [{key: n, operator: Exists}]}]}}"
    file.write_text(text)
    assert main(["validate", "-f", str(file)]) == 1
    printed = capsys.readouterr().err
    assert 'spec.cohorts[0].name: found false; write text, such as "new-accounts"; YAML reads on, off' in printed
    assert "spec.cohorts[0].match[0].key: found false; write text; YAML reads" in printed


def test_a_moment_without_quotes_is_text_as_for_kubectl(tmp_path: Path) -> None:
    file = tmp_path / "override.yaml"
    text = yaml.safe_dump(example("FeatureOverride", "incident-4711"))
    file.write_text(text.replace("'2030-01-01T00:00:00Z'", "2030-01-01T00:00:00Z"))
    assert "expireTime: 2030" in file.read_text()
    assert main(["validate", "-f", str(file)]) == 0


@pytest.mark.parametrize(
    ("kind", "changes", "field", "message"),
    [
        (SCALER, {"spec.poolRef.name": "a100"}, "spec.poolRef.name", "no GPUPool 'a100'; write the name of one that exists (h100)"),
        (POLICY, {"spec.tiers[2].tierRef.name": "fre"}, "spec.tiers[2].tierRef.name", "no UserTier 'fre' in media; write one"),
        (
            POLICY,
            {"spec.variants[0].costs[0].scaler": "image"},
            "spec.variants[0].costs[0].scaler",
            "no InferenceScaler 'image' in media; write one that exists (image-small, image-xl)",
        ),
        (("FeatureOverride", "incident-4711"), {"spec.policyRef.name": "chat"}, "spec.policyRef.name", "no FeaturePolicy 'chat'"),
        (("FeatureOverride", "incident-4711"), {"spec.variant": "off"}, "spec.variant", "no variant 'off'; write one of full"),
        (("FeatureOverride", "incident-4711"), {"spec.cells[0].tier": "gold"}, "spec.cells[0].tier", "lists no tier 'gold'"),
        (("FeatureOverride", "incident-4711"), {"spec.cells[0].cohort": "old"}, "spec.cells[0].cohort", "no cohort 'old'"),
        (
            SCALER,
            {"spec.scaleTargetRef.name": "image-small"},
            "spec.scaleTargetRef",
            "scales Deployment image-small already; delete one of the two",
        ),
        (
            ("InferenceScaler", "image-small"),
            {"spec.metrics[0].engine.signal": "kv"},
            "spec.metrics[0].engine.signal",
            "vllm has no signal 'kv'; write one of",
        ),
    ],
)  # fmt: skip
def test_a_reference_that_leads_nowhere_is_an_error(
    kind: tuple[str, str],
    changes: dict[str, Any],
    field: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert validate(tmp_path, *everything(example(*kind, **changes))) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    assert any(f": {field}: " in line and message in line for line in lines), lines


def test_a_wrong_field_does_not_hide_a_reference_that_leads_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = example(*POLICY, **{"spec.restore.stepPercent": 3, "spec.tiers[2].tierRef.name": "fre"})
    other = example("InferenceScaler", "image-small", **{"spec.poolRef.name": "a100"})

    assert validate(tmp_path, *everything(wrong, other)) == 1

    printed = capsys.readouterr().err
    assert printed.count(": error: ") == 3, printed
    assert "spec.restore.stepPercent: found 3" in printed
    assert "spec.tiers[2].tierRef.name: no UserTier 'fre' in media" in printed
    assert "spec.poolRef.name: no GPUPool 'a100'" in printed
    assert ": warning: " not in printed


@pytest.mark.parametrize(
    ("of", "changes"),
    [
        (TIER, {"spec.priority": -1}),
        (TIER, {"spec.cohorts[0].match[0].seconds": "a week"}),
        (("GPUPool", "h100"), {"spec.capacity": ABSENT}),
        (SCALER, {"spec.metrics[0].target.value": []}),
        (POLICY, {"spec.variants[0].name": False}),
        (POLICY, {"spec.tiers[0]": 5}),
        (POLICY, {"metadata.name": "image-generation", "spec": []}),
    ],
    ids=str,
)
def test_an_object_that_is_wrong_is_still_there_for_those_that_refer_to_it(
    of: tuple[str, str], changes: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(tmp_path, *everything(example(*of, **changes))) == 1
    printed = capsys.readouterr().err
    assert printed.count(": error: ") == 1, printed


def test_a_reference_to_a_kind_that_is_not_among_the_files_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(tmp_path, example(*SCALER)) == 0
    printed = capsys.readouterr().err
    assert "warning: InferenceScaler media/image-xl: spec.poolRef.name: no GPUPool 'h100' among these files" in printed


def test_a_pool_that_does_not_admit_the_namespace_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace = changed(everything()[0], {"metadata.labels": {}})
    assert validate(tmp_path, *everything(namespace)) == 1
    assert "does not admit the namespace media" in capsys.readouterr().err


def test_two_policies_with_one_flag_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(tmp_path, *everything(example(*POLICY, **{"metadata.name": "other"}))) == 1
    assert "has the flag 'image-generation' already; write another key" in capsys.readouterr().err


def test_an_object_that_is_given_twice_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(tmp_path, example(*TIER), example(*TIER)) == 1
    assert f"{tmp_path}/all.yaml:1 has this object already; remove one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "changes", "warning"),
    [
        (POLICY, {"spec.tiers[2]": ABSENT}, "spec.tiers: tier free is not listed, so its users never have this feature"),
        (POLICY, {"spec.tiers[1].lowest": "full"}, "spec.tiers[1].lowest: this is the first variant, so nothing is ever taken"),
        (
            POLICY,
            {"spec.variants[1].costs[0]": {"scaler": "image-xl", "gpuSecondsPerRequest": 12}},
            "spec.variants[1]: shedding from full to lite saves no GPU time on any workload",
        ),
        (
            POLICY,
            {"spec.variants[1].costs": ABSENT},
            "spec.variants[2]: shedding from lite to denied saves no GPU time on any workload",
        ),
        (POLICY, {"spec.tiers[2].quota.limit": 0}, "spec.tiers[2].quota.limit: nobody of this tier may use the feature once"),
        (POLICY, {"spec.tiers[2].availability": "Never"}, "spec.tiers[2].quota: this tier never has the feature, so nothing is counted"),
        (
            ("UserTier", "plus"),
            {"spec.match[0].values": ["pro", "plus"]},
            "spec.match: a user with plan: pro matches pro too, which is tried first",
        ),
        (("UserTier", "plus"), {"spec.match[0].values": ["pro"]}, "spec.match: pro matches the same users and is tried first"),
        (("UserTier", "plus"), {"spec.match": ABSENT}, "free: spec.match: plus has no match either and is tried first"),
        (
            ("InferenceScaler", "image-small"),
            {"spec.metrics": ABSENT, "metadata.name": "idle", "spec.scaleTargetRef.name": "idle"},
            "spec: nothing drives it: it has no metrics, and no policy names it in costs",
        ),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_is_a_warning(
    kind: tuple[str, str], changes: dict[str, Any], warning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override_too = [b for b in everything(example(*kind, **changes)) if b["kind"] != "FeatureOverride"]
    assert validate(tmp_path, *override_too) == 0
    printed = capsys.readouterr()
    assert "0 errors, 1 warnings" in printed.out, printed.err
    assert ": warning: " in printed.err
    assert warning in printed.err


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        (POLICY, {"spec.tiers[2]": ABSENT}, "TierNotListed"),
        (POLICY, {"spec.tiers[1].lowest": "full"}, "NothingToTake"),
        (POLICY, {"spec.variants[1].costs": ABSENT}, "SavesNothing"),
        (POLICY, {"spec.variants[0].costs[0].gpuSecondsPerRequest": "12M"}, "TakesMoreThanADay"),
        (("UserTier", "plus"), {"spec.match[0].values": ["pro", "plus"]}, "SharedUsers"),
        (("UserTier", "plus"), {"spec.match[0].values": ["pro"]}, "Unreachable"),
        (("UserTier", "plus"), {"spec.match": ABSENT}, "Unreachable"),
        (
            ("InferenceScaler", "image-small"),
            {"spec.metrics": ABSENT, "metadata.name": "idle", "spec.scaleTargetRef.name": "idle"},
            "NothingDrivesIt",
        ),
        (
            ("InferenceScaler", "image-small"),
            {
                "spec.metrics": [
                    {
                        "name": "kv",
                        "engine": {"pack": "vllm", "signal": "kv-cache"},
                        "target": {"type": "Value", "value": "800m"},
                    }
                ],
                "spec.minReplicas": 0,
                "metadata.name": "idle",
                "spec.scaleTargetRef.name": "idle",
            },
            "StaysAtZero",
        ),
    ],
)
def test_a_warning_names_its_reason_and_is_an_error_to_the_strict(
    kind: tuple[str, str],
    changes: dict[str, Any],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bodies = [b for b in everything(example(*kind, **changes)) if b["kind"] != "FeatureOverride"]
    assert validate(tmp_path, *bodies) == 0
    assert capsys.readouterr().err.endswith(f" [{reason}]\n")
    assert validate(tmp_path, *bodies, words=("--strict",)) == 1


def test_a_policy_that_lists_no_tier_is_a_warning_for_each_way_to_see_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = [b for b in everything(example(*POLICY, **{"spec.tiers": []})) if b["kind"] != "FeatureOverride"]
    assert validate(tmp_path, *bodies) == 0
    assert "no tier is listed, so nobody has this feature; list those that do [NobodyHasIt]" in capsys.readouterr().err


def test_an_override_of_a_tier_that_is_never_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    never = example(*POLICY, **{"spec.tiers[2].availability": "Never"})
    assert validate(tmp_path, *everything(never)) == 1
    assert "gives tier free no part in the feature (Never), which an override cannot change" in capsys.readouterr().err


def test_findings_are_there_for_scripts_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(tmp_path, example(*TIER, **{"spec.priority": -1}), words=("-o", "json")) == 1
    printed = capsys.readouterr()
    (found,) = json.loads(printed.out)
    assert (found["severity"], found["kind"], found["path"]) == ("error", "UserTier", "spec.priority")
    assert found["line"] == (tmp_path / "all.yaml").read_text().splitlines().index("  priority: -1") + 1
    assert validate(tmp_path, example(*TIER, **{"spec.priority": -1}), words=("-o", "yaml")) == 1
    assert yaml.safe_load(capsys.readouterr().out) == [found]
    assert printed.err == ""


def test_objects_of_other_groups_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"whatever": 1}}
    assert validate(tmp_path, deployment, example(*TIER)) == 0
    assert "1 objects: 0 errors" in capsys.readouterr().out


def test_the_objects_of_a_list_are_checked_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [example(*TIER), example(*POLICY, **{"spec.shedOrder": -1})]
    assert validate(tmp_path, {"apiVersion": "v1", "kind": "List", "items": items}) == 1
    line = (tmp_path / "all.yaml").read_text().splitlines().index("    shedOrder: -1") + 1
    assert f"all.yaml:{line}: error: FeaturePolicy media/image-generation: spec.shedOrder" in capsys.readouterr().err


def test_a_folder_is_read_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "tier.yml").write_text(yaml.safe_dump(example(*TIER)))
    (tmp_path / "notes.txt").write_text(":::")
    assert main(["validate", "-f", str(tmp_path)]) == 0
    assert "1 objects" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"apiVersion": "brownout.dev/v1"}, "apiVersion: found \"brownout.dev/v1\"; write brownout.dev/v1alpha1"),
        ({"kind": "Usertier"}, 'kind: found "Usertier"; write UserTier'),
        ({"metadata.name": ABSENT}, "metadata: name is missing; write it"),
        ({"spec": ABSENT}, "spec is missing; write it"),
        ({"spec.priority": ABSENT}, "spec: priority is missing; write it"),
        ({"extra": 1}, "extra: there is no such field"),
    ],
)  # fmt: skip
def test_an_object_that_is_not_one_is_said_to_be(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(tmp_path, example(*TIER, **changes)) == 1
    assert message in capsys.readouterr().err


def test_yaml_that_cannot_be_read_is_an_error_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.yaml").write_text("a: 1\nb: [\n")
    (tmp_path / "twice.yaml").write_text("a: 1\na: 2\n")
    assert main(["validate", "-f", str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    assert f"{tmp_path}/broken.yaml:3: error: " in printed
    assert f"{tmp_path}/twice.yaml:2: error: 'a' is written twice" in printed


def test_nothing_to_check_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-f", str(tmp_path)]) == 2
    assert main(["validate", "-f", str(tmp_path / "absent.yaml")]) == 2
    assert "absent.yaml: no such file or folder" in capsys.readouterr().err
