"""HTML by functions."""

from hypothesis import given
from hypothesis import strategies as st

from brownout.flags.pages.markup import fill, join, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b ", tag("b", "& c")) == "<p>a &lt; b <b>&amp; c</b></p>"


def test_attributes_are_written_by_their_html_names_and_left_out_where_there_is_nothing() -> None:
    assert tag("p", class_="x", aria_label='"', hidden=True, lang=None, title=False) == (
        '<p class="x" aria-label="&quot;" hidden></p>'
    )


def test_a_sentence_takes_text_and_markup() -> None:
    assert fill("<{a}> and {b}", a="&", b=tag("b", "x")) == "&lt;&amp;&gt; and <b>x</b>"


@given(st.text(), st.text())
def test_nothing_that_a_policy_says_becomes_markup(text: str, attribute: str) -> None:
    inside = tag("p", text, title=attribute).removeprefix("<p title=").removesuffix("</p>")
    assert inside.count("<") == 0
    assert inside.count(">") == 1
    assert join(text).count("<") == 0
