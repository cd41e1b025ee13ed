"""What has been found: bodies as the API server has them, and what the processes say. Rules read it; nothing here is redacted."""

from typing import Any, NamedTuple

from msgspec import Struct, field

from brownout.api.resources import InvalidObject, Key, Stored

Body = dict[str, Any]

NOT_ASKED = "not asked"
"""The result of a query where no Prometheus was named."""


def is_true(body: Body, condition: str) -> bool:
    """Whether a condition of an object is True; not where it is not there."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


class Process(Struct, kw_only=True):
    """A pod of ours. `metrics`: its page, or None where it could not be read."""

    component: str
    pod: Body
    metrics: str | None = None

    @property
    def name(self) -> str:
        meta = self.pod["metadata"]
        return f"{meta['namespace']}/{meta['name']}"

    @property
    def statuses(self) -> list[Body]:
        """The states of its containers; none while it waits for a node."""
        return list((self.pod.get("status") or {}).get("containerStatuses") or ())

    @property
    def ready(self) -> bool:
        return is_true(self.pod, "Ready")

    def option(self, name: str) -> list[str]:
        """What stands behind an option (`--watch-namespaces a b`, or with =) on its command line; nothing where it is not there."""
        found: list[str] = []
        is_its = False
        for word in self._words():
            option, _, value = word.partition("=")
            if word.startswith("-"):
                is_its = option == name
                found += [value] if is_its and value else []
            elif is_its:
                found.append(word)
        return found

    def has(self, name: str) -> bool:
        """Whether an option is on its command line."""
        return name in self._words()

    def _words(self) -> list[str]:
        containers = self.pod["spec"]["containers"]
        return [word for one in containers for word in (*(one.get("command") or ()), *(one.get("args") or ()))]

    @property
    def port(self) -> int:
        """Where it serves its metrics."""
        ports = [port for one in self.pod["spec"]["containers"] for port in one.get("ports") or ()]
        named = {port.get("name"): int(port["containerPort"]) for port in ports}
        return named.get("metrics") or named.get("http") or 8080

    @property
    def images(self) -> tuple[str, ...]:
        return tuple(str(one.get("image", "")) for one in self.pod["spec"]["containers"])

    def number(self, metric: str) -> float | None:
        """The first number of a metric without labels; None where it is not there."""
        for line in (self.metrics or "").splitlines():
            name, _, value = line.partition(" ")
            if name == metric:
                try:
                    return float(value.split()[0])
                except (ValueError, IndexError):
                    return None
        return None


class Right(NamedTuple):
    """What somebody may do or not; `allowed` is None where it could not be asked."""

    who: str
    verb: str
    what: str
    allowed: bool | None
    namespace: str = ""

    @property
    def deed(self) -> str:
        """What it is that they may do or not, in words."""
        return f"{self.verb} {self.what}{f' in {self.namespace}' if self.namespace else ''}"


class Answered(NamedTuple):
    """A query of an object, and what Prometheus made of it: a number of series, or a sentence."""

    owner: str
    field: str
    query: str
    result: str
    missing: bool


class Found(Struct, kw_only=True):
    """Everything. What was not found is empty; what could not be looked for is in `errors`, by part."""

    now: float
    cli_version: str
    server_version: str = ""
    definitions: dict[str, Body | None] = field(default_factory=dict)
    bodies: dict[str, list[Body]] = field(default_factory=dict)
    objects: dict[str, list[Stored[Any, Any] | InvalidObject]] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    looked_for_processes: bool = False
    targets: dict[Key, Body] = field(default_factory=dict)
    pods: list[Body] = field(default_factory=list)
    autoscalers: list[Body] = field(default_factory=list)
    events: list[Body] = field(default_factory=list)
    rights: list[Right] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
