"""An index of pods selects what looking at every pod selects."""

from hypothesis import given
from hypothesis import strategies as st

from brownout.api.pool import LabelSelector, LabelSelectorRequirement
from brownout.decide.links import selects
from brownout.observe.pods import Pods
from support.operator_builders import pod

NAMES, VALUES = st.sampled_from(["app", "tier", "hash"]), st.sampled_from(["a", "b", "c"])
LABELS = st.dictionaries(NAMES, VALUES)
NEEDS = st.builds(
    lambda key, operator, values: LabelSelectorRequirement(key=key, operator=operator, values=tuple(values)),
    NAMES,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(VALUES, max_size=2),
)
SELECTORS = st.builds(
    lambda labels, needs: LabelSelector(match_labels=labels, match_expressions=tuple(needs)),
    LABELS,
    st.lists(NEEDS, max_size=2),
)


@given(st.lists(st.tuples(st.sampled_from(["media", "other"]), LABELS), max_size=12), SELECTORS)
def test_the_index_selects_what_the_selector_does(
    existing: list[tuple[str, dict[str, str]]], selector: LabelSelector
) -> None:
    pods = [pod(f"pod-{n}", namespace=namespace, **labels) for n, (namespace, labels) in enumerate(existing)]
    found = Pods(pods).selected("media", selector)
    assert found == [p for p in pods if p.key.namespace == "media" and selects(selector, p.labels)]


def test_a_namespace_without_pods_has_none() -> None:
    assert Pods([]).selected("media", LabelSelector(match_labels={"app": "image"})) == []
