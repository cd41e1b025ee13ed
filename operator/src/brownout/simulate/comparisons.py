"""Results of a tournament as comparisons that can be published: with what they were made of, and on."""

import hashlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec

from brownout.simulate.bounds import FORESIGHT
from brownout.simulate.manifests import manifest_files
from brownout.simulate.rates import trace_files
from brownout.simulate.results import Comparison, Provenance, summarise
from brownout.simulate.scenario import Scenario
from brownout.simulate.tournament import HPA, IDEAL, Results


def comparisons(results: Sequence[Results], traces: Path | None = None) -> list[Comparison]:
    """One for each scenario; ValueError where no HPA was run, for it is what scores 0."""
    return [
        summarise(
            one.figures,
            provenance_of(one.scenario, traces),
            hpa=HPA,
            programme=FORESIGHT,
            bounds={name: dict.fromkeys(one.figures[IDEAL], bound) for name, bound in one.bounds.values.items()},
            oracles=(IDEAL,),
        )
        for one in results
    ]


def provenance_of(scenario: Scenario, traces: Path | None) -> Provenance:
    """The hash of a scenario is over all that it comes to, whatever files it was merged from, and over its manifests."""
    digest = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(scenario, folder=""), order="deterministic"))
    for file in manifest_files(scenario):
        digest.update(file.read_bytes())
    return Provenance(
        scenario=scenario.name,
        scenario_hash=digest.hexdigest(),
        traces={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in trace_files(scenario, traces)},
        machine=machine(),
        python=platform.python_version(),
    )


def machine() -> str:
    """The processor and the system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor()}, {os.cpu_count()} processors, {platform.system()} {platform.machine()}"
