"""A set of manifests, checked: each alone, then, if none of them is wrong, all against each other."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from brownout.api.resources import Key, Stored
from brownout.cli.validation import advice, objects, references
from brownout.cli.validation.findings import Problem, dotted
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
        return f"{place}: {self.problem.severity}: {what}"


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
        stored, problems = _alone(manifest, places, namespace=namespace)
        kind, key = str(manifest.body.get("kind")), objects.key_of(manifest.body, namespace=namespace)
        found += [Finding(manifest, kind, key, problem) for problem in problems]
        if stored is not None:
            typed[kind][key] = stored
            places[kind, key] = manifest
    if not found:
        found += _together(typed, places, _namespaces(others))
    return Checked(len(ours), found)


def _alone(
    manifest: Manifest, places: Mapping[tuple[str, Key], Manifest], *, namespace: str
) -> tuple[Stored[Any, Any] | None, list[Problem]]:
    problems = objects.problems(manifest.body)
    if problems:
        return None, problems
    resource, stored = objects.typed(manifest.body, namespace=namespace)
    if not isinstance(stored, Stored):
        return None, [Problem(("spec",), stored.message)]
    if other := places.get((resource.kind, stored.key)):
        where = f"{other.file}:{other.line(())}"
        return None, [Problem(("metadata", "name"), f"{where} has this object already; remove one of them")]
    return stored, []


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
