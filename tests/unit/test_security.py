"""What docs/security.md promises and no other test shows; and that every test that it names exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from brownout.api.generate import definition
from brownout.api.resources import RESOURCES
from brownout.api.schema import GROUP
from brownout_localcluster.charts import render_chart
from support.examples import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "security.md").read_text()
NAMED = re.compile(r"`(tests/[\w/.]+\.py)::(test_\w+)`")
ASSETS = REPOSITORY / "operator" / "src" / "brownout" / "flags" / "pages"


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(DOCUMENT))), ids=lambda part: part.split("/")[-1])
def test_every_test_that_the_threat_model_names_exists(file: str, name: str) -> None:
    path = REPOSITORY / file
    assert path.exists(), f"docs/security.md names {file}, which is not there"
    assert re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE), f"{file} has no {name}"


def test_every_threat_has_something_against_it_and_a_test() -> None:
    rows = [line.strip("| ").split(" | ") for line in DOCUMENT.splitlines() if NAMED.search(line)]
    tables = DOCUMENT.split("## Flip a flag")[1].split("## What nothing stands against")[0]
    lines = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) == len(lines)
    for threat, control, tests in rows:
        assert threat
        assert control
        assert NAMED.findall(tests)


def test_nobody_but_the_operator_may_write_our_statuses() -> None:
    text = render_chart(REPOSITORY / "charts" / "brownout", "brownout", namespace="brownout-system")
    roles = [body for body in yaml.safe_load_all(text) if body and body["kind"] in ("ClusterRole", "Role")]
    writing = {
        role["metadata"]["name"]
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        if GROUP in rule["apiGroups"] and (resource.endswith("/status") or resource == "*")
    }
    assert writing == {"brownout-operator"}
    assert len(roles) > 4
    for role in roles:
        assert all("*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in role["rules"])


def unbounded(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Fields of a schema that may grow without end."""
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield f"{path}[]"
    if schema.get("type") == "string" and not {"maxLength", "enum", "format"} & schema.keys():
        yield path
    if "additionalProperties" in schema and "maxProperties" not in schema:
        yield f"{path}{{}}"
    for name, inner in schema.get("properties", {}).items():
        yield from unbounded(inner, f"{path}.{name}")
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from unbounded(inner, f"{path}[]")


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_every_list_text_and_map_that_a_person_writes_is_bounded(resource: Any) -> None:
    schema = definition(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert list(unbounded(schema["properties"]["spec"], "spec")) == []


@pytest.mark.parametrize(
    "asset",
    sorted(file for file in ASSETS.rglob("*") if file.suffix in (".html", ".js", ".css", ".svg", ".py")),
    ids=lambda file: file.name,
)
def test_no_page_loads_anything_from_elsewhere(asset: Path) -> None:
    text = asset.read_text()
    loaded = re.findall(r"""(?:src=|href=|url\(|import\s|from\s|fetch\()\s*["']?((?:https?:)?//[^\s"')]+)""", text)
    assert loaded == []
