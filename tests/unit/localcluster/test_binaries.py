"""Programs are taken only if they fit, and built under a key of what they are built from."""

import re
import stat
from pathlib import Path

import pytest

from brownout_localcluster import binaries, build
from brownout_localcluster.binaries import ALL, PROGRAMS, Program, find_binaries, fits
from brownout_localcluster.build import CONTROL_PLANE, MODULES, PROMETHEUS, BuildError, content_key, find_go

FILES = ("go.mod", "go.sum", "tools.go")


def program(name: str) -> Program:
    return next(known for known in PROGRAMS if known.name == name)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_text(f"content of {name}")
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_the_content_key_changes_with_each_file(source: Path, name: str) -> None:
    before = content_key(CONTROL_PLANE, source)
    (source / name).write_text("something else")
    assert content_key(CONTROL_PLANE, source) != before


def test_the_content_key_changes_with_nothing_else(source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in FILES:
        (elsewhere / name).write_bytes((source / name).read_bytes())
    (elsewhere / "README.md").write_text("not built from")
    assert content_key(CONTROL_PLANE, elsewhere) == content_key(CONTROL_PLANE, source)
    assert content_key(CONTROL_PLANE, source) != content_key(PROMETHEUS, source)


@pytest.mark.parametrize(
    ("name", "said", "fit"),
    [
        ("kube-apiserver", "Kubernetes v1.36.3", True),
        ("kube-apiserver", "Kubernetes v1.35.9", False),
        ("kubectl", "Client Version: v1.32.4-dispatcher", False),
        ("kubectl", "Client Version: v1.35.1\nKustomize Version: v5.8.1", True),
        ("etcd", "etcd Version: 3.5.21\nGit SHA: x", True),
        ("etcd", "etcd Version: 3.4.30", False),
        ("prometheus", "prometheus, version 2.53.3+ds1 (branch: debian)", True),
        ("prometheus", "prometheus, version 2.15.2", False),
        ("kwok", "kwok version v0.8.0 go1.26", True),
        ("kwok", "nothing with a number", False),
    ],
)
def test_a_program_fits_by_the_version_that_it_prints(name: str, said: str, fit: bool) -> None:
    assert fits(program(name), said) is fit


def installed(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def fill_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    for module in (CONTROL_PLANE, PROMETHEUS):
        cache = build.cache_folder(module)
        cache.mkdir(parents=True)
        for name in module.programs:
            (cache / name).touch()


def test_the_first_program_that_fits_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_cache(tmp_path / "cache", monkeypatch)
    too_old = installed(tmp_path / "assets", "etcd", "etcd Version: 3.2.1")
    fitting = installed(tmp_path / "path", "etcd", "etcd Version: 3.6.1")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(too_old.parent))
    monkeypatch.setenv("PATH", str(fitting.parent))
    assert find_binaries()["etcd"] == fitting


def test_the_cache_is_used_where_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_cache(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    found = find_binaries(ALL)
    assert set(found) == {known.name for known in PROGRAMS}
    assert all(path.is_relative_to(tmp_path) for path in found.values())


def test_whoever_wants_a_cluster_waits_for_nothing_that_only_tests_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_cache(tmp_path, monkeypatch)
    assert set(find_binaries()) == ALL - {"promtool"}


def test_a_failed_build_names_its_log_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = installed(tmp_path / "bin", "go", "go1.99.0")
    go.write_text(
        '#!/bin/sh\n[ "$1" = env ] && echo go1.99.0 && exit\necho "dial tcp: lookup proxy: no such host" >&2\nexit 1\n'
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{go.parent}:/bin:/usr/bin")
    said: list[str] = []
    with pytest.raises(BuildError) as failure:
        build.build_module(CONTROL_PLANE, ["etcd"], say=said.append)
    log = build.cache_folder(CONTROL_PLANE) / "build.log"
    assert "Check the network" in str(failure.value)
    assert str(log) in str(failure.value)
    assert "no such host" in log.read_text()
    assert re.search(r"Building etcd: about \d+ minutes, once", said[0])
    assert not list(log.parent.glob(".building-*"))
    assert not (log.parent / "etcd").exists()


def test_a_go_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = installed(tmp_path / "bin", "go", "go1.19.2")
    monkeypatch.setenv("PATH", f"{old.parent}:/bin:/usr/bin")
    assert find_go() != str(old)


def test_every_program_belongs_to_the_module_that_builds_it() -> None:
    assert {known.name for known in PROGRAMS} == {*CONTROL_PLANE.programs, *PROMETHEUS.programs}
    assert all(known.name in known.module.programs for known in binaries.PROGRAMS)


@pytest.mark.parametrize("folder", ["controlplane", "prometheus"])
def test_the_modules_ask_for_no_other_toolchain(folder: str) -> None:
    assert "\ntoolchain " not in (MODULES / folder / "go.mod").read_text()
