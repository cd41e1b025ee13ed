"""HTML by functions, in which text is escaped unless it is markup already: what a policy says cannot become a script."""

import re
from html import escape


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


VOID = frozenset({"link", "meta", "br"})
PLACEHOLDER = re.compile(r"\{(\w+)\}")

Child = str | Markup | None


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Markup:
    """An element. `class_` and the like lose their underscore, others become dashes; None and False leave an attribute out."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def _attribute(key: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def join(*children: Child) -> Markup:
    """Children one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children if child))


def fill(sentence: str, /, **values: Child) -> Markup:
    """A sentence with its placeholders filled; each value is text or markup."""
    parts = PLACEHOLDER.split(sentence)
    return join(*(values[part] if index % 2 else part for index, part in enumerate(parts)))
