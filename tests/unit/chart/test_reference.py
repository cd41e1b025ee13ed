"""The chart's schema and README are what its commented values say, and the schema refuses what nobody meant."""

import json
import subprocess
import sys
from typing import Any

import pytest

from brownout_localcluster.charts import ChartError, render_chart
from support.examples import REPOSITORY

CHART = REPOSITORY / "charts" / "brownout"


def test_schema_and_readme_are_what_the_values_generate() -> None:
    script = REPOSITORY / "scripts" / "chart_reference.py"
    ran = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_no_map_of_ours_takes_keys_that_it_does_not_have() -> None:
    def open_maps(schema: dict[str, Any], path: str) -> list[str]:
        found = [] if schema.get("additionalProperties") is False or "properties" not in schema else [path]
        for key, inner in schema.get("properties", {}).items():
            found += open_maps(inner, f"{path}.{key}")
        return found

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert open_maps(schema, "") == []
    assert open_maps(schema["$defs"]["workload"], "workload") == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"oprator": {}}, "additional properties 'oprator' not allowed"),
        ({"flags": {"replica": 2}}, "at '/flags': additional properties 'replica' not allowed"),
        ({"flags": {"replicas": "two"}}, "at '/flags/replicas': got string, want integer"),
        ({"flags": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "at '/flags/podDisruptionBudget/maxUnavailable'"),
        ({"image": {"digest": "4711"}}, "at '/image/digest': '4711' does not match pattern"),
        ({"inference": {"workloads": [{"nam": "image"}]}}, "at '/inference/workloads/0': missing property 'name'"),
        ({"watchNamespaces": ["Media"]}, "at '/watchNamespaces/0': 'Media' does not match pattern"),
    ],
)  # fmt: skip
def test_a_typing_error_ends_the_installation_and_is_named(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ChartError) as refused:
        render_chart(CHART, "brownout", namespace="brownout-system", values=values)
    assert sentence in str(refused.value)
