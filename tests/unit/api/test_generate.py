"""The generated definitions: up to date, structural, bounded, and with a wrong object in the tests for every rule."""

from pathlib import Path

import pytest
import yaml

from brownout.api.generate import FOLDERS, definition, main, text
from brownout.api.resources import RESOURCES
from brownout.api.schema import Resource
from support.examples import REPOSITORY
from support.refusals import IMMUTABLE, RULES
from support.schemas import nodes, schema

each_kind = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_checked_in_definitions_are_what_the_structs_say_and_no_others(folder: str) -> None:
    found = {file.name: file.read_text() for file in (REPOSITORY / folder).iterdir()}
    assert found == {f"{resource.plural}.yaml": text(resource) for resource in RESOURCES}


def test_check_names_the_stale_files_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
    assert main([]) == 0
    assert main(["--check"]) == 0
    stale = tmp_path / "crds" / "usertiers.yaml"
    stale.write_text("changed by hand")
    assert main(["--check"]) == 1
    assert "stale: crds/usertiers.yaml; run `make generate`" in capsys.readouterr().err
    assert stale.read_text() == "changed by hand"


@each_kind
def test_a_definition_is_the_same_bytes_every_time(resource: Resource) -> None:
    assert text(resource) == text(resource)
    assert yaml.safe_load(text(resource)) == definition(resource)


@each_kind
def test_a_definition_has_nothing_that_structural_schemas_forbid(resource: Resource) -> None:
    for part in ("spec", "status"):
        for path, node in nodes(schema(resource, part)):
            assert not {"$ref", "anyOf", "nullable"} & node.keys(), path
            assert "type" in node or node.get("x-kubernetes-int-or-string"), path
            assert node.get("default", "") is not None, path


@each_kind
def test_everything_that_a_person_writes_is_bounded(resource: Resource) -> None:
    for path, node in nodes(schema(resource, "spec")):
        bounds = {
            "string": bool({"maxLength", "enum", "format"} & node.keys()),
            "integer": {"minimum", "maximum"} <= node.keys(),
            "array": "maxItems" in node,
            "object": "properties" in node or "maxProperties" in node,
        }
        assert bounds.get(node.get("type", "string"), True), f"{resource.kind}{path} has no bound"


@each_kind
def test_lists_are_atomic_except_for_conditions(resource: Resource) -> None:
    for part in ("spec", "status"):
        for path, node in nodes(schema(resource, part)):
            if node.get("type") == "array":
                wanted = "map" if path == ".conditions" else "atomic"
                assert node["x-kubernetes-list-type"] == wanted, path


@each_kind
def test_status_is_ours_and_has_no_defaults_formats_or_rules(resource: Resource) -> None:
    for path, node in nodes(schema(resource, "status")):
        assert not {"default", "format", "pattern", "x-kubernetes-validations"} & node.keys() - {"format"}, path
        assert node.get("format") in (None, "int64"), path


@each_kind
def test_a_default_shows_because_every_parent_has_one(resource: Resource) -> None:
    for path, node in nodes(schema(resource, "spec")):
        for name, inner in node.get("properties", {}).items():
            inside = any("default" in field for field in inner.get("properties", {}).values())
            optional_whole = name not in node.get("required", ()) and "default" not in inner
            if inside and optional_whole:
                # An optional part that means something by being there has no default itself.
                assert f"{path}.{name}" in {
                    ".capacity.nodes",
                    ".tiers[].quota",
                    ".metrics[].target",
                    ".demand.offered",
                    ".demand.admitted",
                    ".demand.heaviest",
                }


def test_every_rule_has_a_wrong_object_in_the_tests() -> None:
    rules = {
        rule["message"]
        for resource in RESOURCES
        for _, node in nodes(schema(resource, "spec"))
        for rule in node.get("x-kubernetes-validations", ())
    }
    assert rules == {refusal.message for refusal in RULES} | {IMMUTABLE}


@each_kind
def test_every_rule_says_what_to_write_instead(resource: Resource) -> None:
    for path, node in nodes(schema(resource, "spec")):
        for rule in node.get("x-kubernetes-validations", ()):
            assert "; " in rule["message"], path
            assert any(word in rule["message"] for word in ("write", "remove", "give", "list")), rule["message"]


@each_kind
def test_a_column_points_to_a_field_that_there_is(resource: Resource) -> None:
    known = {f".{part}{path}" for part in ("spec", "status") for path, _ in nodes(schema(resource, part))} | {
        ".metadata.creationTimestamp"
    }
    for column in resource.columns:
        path = column.json_path.split("[?")[0].replace("[*]", "[]")
        assert path in known, column
