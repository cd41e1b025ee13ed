"""The pods of a workload, found without looking at all the others of its namespace.

A selector with labels is answered from an index of pods by label; only those that carry its rarest one are looked at. A
thousand workloads in one namespace would otherwise cost a million comparisons at each tick.
"""

from collections.abc import Iterable, Iterator, Sequence

from brownout.api.pool import LabelSelector
from brownout.decide.links import selects
from brownout.observe.facts import PodFact

Label = tuple[str, str, str]
"""Namespace, name and value."""


class Pods:
    """All pods, by namespace and label."""

    def __init__(self, pods: Iterable[PodFact]) -> None:
        self._by_namespace: dict[str, list[PodFact]] = {}
        self._by_label: dict[Label, list[PodFact]] = {}
        for pod in pods:
            namespace = pod.key.namespace
            self._by_namespace.setdefault(namespace, []).append(pod)
            for name, value in pod.labels.items():
                self._by_label.setdefault((namespace, name, value), []).append(pod)

    def selected(self, namespace: str, selector: LabelSelector) -> list[PodFact]:
        """The pods of a namespace that a selector selects."""
        candidates: Sequence[PodFact] = self._by_namespace.get(namespace, ())
        for label in _labels(namespace, selector):
            carry_it = self._by_label.get(label, ())
            if len(carry_it) < len(candidates):
                candidates = carry_it
        return [pod for pod in candidates if selects(selector, pod.labels)]


def _labels(namespace: str, selector: LabelSelector) -> Iterator[Label]:
    """The labels that a pod has to carry."""
    for name, value in selector.match_labels.items():
        yield namespace, name, value
    for need in selector.match_expressions:
        if need.operator == "In" and len(need.values) == 1:
            yield namespace, need.key, need.values[0]
