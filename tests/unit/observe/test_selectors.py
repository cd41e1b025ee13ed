"""Label selectors in text form."""

import pytest

from brownout.decide.links import selects
from brownout.observe.selectors import parse

LABELS = {"app": "image", "tier": "a", "empty": ""}


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "app=image",
            "app==image",
            "app!=chat",
            "missing!=x",
            "tier in (a,b)",
            "tier notin (c, d)",
            "app",
            "empty=",
        ),
        *("!missing", "app=image,tier in (a,b),!missing", " app = image , tier in ( a , b ) "),
    ],
)
def test_it_selects_what_kubernetes_would(text: str) -> None:
    assert selects(parse(text), LABELS)


@pytest.mark.parametrize(
    "text", ["app=chat", "app!=image", "tier in (b)", "tier notin (a)", "missing", "!app", "empty=x"]
)
def test_it_leaves_what_kubernetes_would(text: str) -> None:
    assert not selects(parse(text), LABELS)


@pytest.mark.parametrize("text", ["tier in", "=x", "a b", "a in (b", "(a)"])
def test_what_is_no_selector_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a label selector"):
        parse(text)
