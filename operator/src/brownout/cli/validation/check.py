"""A set of manifests, checked: each alone, then all against each other.

One wrong field does not hide a reference that leads nowhere, in the same object or in another: of what is wrong as much is
looked at as can be read. What is only hardly meant is said once nothing is wrong any more.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from brownout.api.resources import Key, Stored
from brownout.cli.validation import advice, objects, references
from brownout.cli.validation.findings import Path, Problem, dotted
from brownout.cli.validation.manifests import Manifest


class Finding(NamedTuple):
    """A problem, and the manifest that has it."""

    manifest: Manifest
    kind: str
    key: Key
    problem: Problem

    def __str__(self) -> str:
        place = f"{self.manifest.file}:{self.manifest.line(self.problem.path)}"
        what = f"{self.kind} {self.key}: {dotted(self.problem.path)}: {self.problem.message}"
        reason = f" [{self.problem.reason}]" if self.problem.reason else ""
        return f"{place}: {self.problem.severity}: {what}{reason}"

    @property
    def fields(self) -> dict[str, Any]:
        """The finding for scripts."""
        return {
            "file": self.manifest.file,
            "line": self.manifest.line(self.problem.path),
            "severity": self.problem.severity,
            "reason": self.problem.reason,
            "kind": self.kind,
            "namespace": self.key.namespace,
            "name": self.key.name,
            "path": dotted(self.problem.path),
            "message": self.problem.message,
        }


class Checked(NamedTuple):
    """How many objects of ours there are, and what is wrong with them."""

    objects: int
    findings: list[Finding]

    @property
    def errors(self) -> int:
        return sum(finding.problem.severity == "error" for finding in self.findings)


def check(manifests: Iterable[Manifest], *, namespace: str) -> Checked:
    """Check our objects among the manifests; those that name no namespace are in `namespace`."""
    others: list[Manifest] = []
    ours: list[Manifest] = []
    for manifest in manifests:
        (ours if objects.is_ours(manifest.body) else others).append(manifest)
    found: list[Finding] = []
    typed: dict[str, dict[Key, Stored[Any, Any]]] = {kind: {} for kind in objects.KINDS}
    places: dict[tuple[str, Key], Manifest] = {}
    for manifest in ours:
        kind, key = str(manifest.body.get("kind")), objects.key_of(manifest.body, namespace=namespace)
        stored, problems = _alone(manifest, places.get((kind, key)), namespace=namespace)
        found += [Finding(manifest, kind, key, problem) for problem in problems]
        if stored is not None:
            typed[kind][key] = stored
        places.setdefault((kind, key), manifest)
    together = _together(typed, places, _namespaces(others))
    if found:
        flawed = {(finding.kind, finding.key) for finding in found}
        together = [finding for finding in together if _stands(finding, flawed)]
    return Checked(len(ours), found + together)


def _alone(
    manifest: Manifest, other: Manifest | None, *, namespace: str
) -> tuple[Stored[Any, Any] | None, list[Problem]]:
    """An object as far as it can be read, and what is wrong with it; `other` is an earlier one of the same name."""
    problems = objects.problems(manifest.body)
    if other is not None:
        where = f"{other.file}:{other.line(())}"
        twice = Problem(("metadata", "name"), f"{where} has this object already; remove one of them")
        return None, [*problems, twice]
    body = objects.sound_part(manifest.body) if problems else manifest.body
    if body is None:
        return None, problems
    _, stored = objects.typed(body, namespace=namespace)
    if not isinstance(stored, Stored):
        return None, problems or [Problem(("spec",), stored.message)]
    return stored, problems


def _stands(finding: Finding, flawed: Set[tuple[str, Key]]) -> bool:
    """Whether a finding holds though other objects are flawed: no warning, and not held against one that is flawed itself."""
    if finding.problem.severity == "warning":
        return False
    path = ("spec", "policyRef", "name") if finding.kind == "FeatureOverride" else finding.problem.path
    kind = references.referred_kind(path)
    namespace = "" if kind == "GPUPool" else finding.key.namespace
    return kind is None or (kind, Key(namespace, str(_value(finding.manifest.body, path)))) not in flawed


def _value(body: Any, path: Path) -> Any:
    """What stands at a path; None where there is nothing."""
    for part in path:
        try:
            body = body[part]
        except (KeyError, IndexError, TypeError):
            return None
    return body


def _together(
    typed: references.Objects, places: Mapping[tuple[str, Key], Manifest], namespaces: Mapping[str, dict[str, str]]
) -> list[Finding]:
    links = references.resolve(typed, namespaces)
    return [
        Finding(places[kind, key], kind, key, problem)
        for kind, key, problem in (
            *references.problems(typed, links, namespaces),
            *advice.problems(typed, links),
        )
    ]


def _namespaces(others: Iterable[Manifest]) -> dict[str, dict[str, str]]:
    """Labels of the Namespaces that are given."""
    found = {}
    for body in (manifest.body for manifest in others):
        if isinstance(body, dict) and body.get("kind") == "Namespace" and isinstance(body.get("metadata"), dict):
            found[str(body["metadata"].get("name"))] = body["metadata"].get("labels") or {}
    return found
