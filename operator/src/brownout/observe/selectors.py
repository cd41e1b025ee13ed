"""Label selectors in the text form that /scale reports, as the structured form that specs have."""

import re

from brownout.api.pool import LabelSelector, LabelSelectorRequirement

_REQUIREMENT = re.compile(
    r"\s*(?:"
    r"!\s*(?P<absent>[^\s,=!()]+)"
    r"|(?P<key>[^\s,=!()]+)\s*(?:"
    r"(?P<set>in|notin)\s*\((?P<values>[^)]*)\)"
    r"|(?P<equality>==|=|!=)\s*(?P<value>[^\s,=!()]*)"
    r")?)\s*(?:,|$)"
)


def parse(text: str) -> LabelSelector:
    """A selector from its text, such as `app=image,tier in (a,b),!old`. Raises ValueError, naming the text."""
    requirements, position = [], 0
    while position < len(text):
        found = _REQUIREMENT.match(text, position)
        if not found or found.end() == position:
            raise ValueError(f"{text!r} is not a label selector")
        requirements.append(_requirement(found))
        position = found.end()
    return LabelSelector(match_expressions=tuple(requirements))


def _requirement(found: re.Match[str]) -> LabelSelectorRequirement:
    if found["absent"]:
        return LabelSelectorRequirement(key=found["absent"], operator="DoesNotExist")
    if found["set"]:
        values = tuple(value.strip() for value in found["values"].split(","))
        return LabelSelectorRequirement(
            key=found["key"], operator="In" if found["set"] == "in" else "NotIn", values=values
        )
    if found["equality"]:
        operator = "NotIn" if found["equality"] == "!=" else "In"
        return LabelSelectorRequirement(key=found["key"], operator=operator, values=(found["value"],))
    return LabelSelectorRequirement(key=found["key"], operator="Exists")
