"""`kubectl brownout`: a real kubectl finds us, runs us, and completes what is typed from what the cluster has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brownout_localcluster.binaries import find_binaries
from support.operator_world import FEATURE, World

pytest_plugins = ("support.operator_fixtures",)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with kubectl and the two commands that the package installs for it."""
    scripts = {
        "kubectl-brownout": "from brownout.cli.main import main; sys.exit(main())",
        "kubectl_complete-brownout": "from brownout.cli.completion import complete; sys.exit(complete())",
    }
    for name, program in scripts.items():
        script = tmp_path / name
        script.write_text(f"#!{sys.executable}\nimport sys\n{program}\n")
        script.chmod(0o755)
    return os.pathsep.join([str(tmp_path), str(Path(find_binaries()["kubectl"]).parent), os.environ["PATH"]])


def kubectl(world: World, path: str, *words: str) -> str:
    """What kubectl prints, of a process that has no other way to us than that PATH."""
    ran = subprocess.run(
        ["kubectl", *words],
        env=os.environ | {"PATH": path, "KUBECONFIG": str(world.cluster.kubeconfig)},
        executable=find_binaries()["kubectl"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout


def test_kubectl_runs_us_and_we_call_ourselves_by_its_name(world: World, path: str) -> None:
    assert kubectl(world, path, "brownout", "--help").startswith("usage: kubectl brownout ")
    shown = kubectl(world, path, "brownout", "status", "-n", world.namespace.name)
    assert f"{world.namespace.name}/{FEATURE}" in shown


def test_kubectl_completes_features_tiers_and_variants(world: World, path: str) -> None:
    def offered(*words: str) -> list[str]:
        lines = kubectl(world, path, "__complete", "brownout", *words).splitlines()
        return lines[:-1] if lines[-1] == ":4" else lines

    of = ("override", "-n", world.namespace.name)
    assert offered(*of, "") == [FEATURE]
    assert offered(*of, FEATURE, "--tier", "") == ["free", "pro"]
    assert offered(*of, FEATURE, "--variant", "d") == ["denied"]
