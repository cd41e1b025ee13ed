"""One page on standard output: how much there is, what looks wrong, and what could not be had."""

from brownout.cli.diagnosing.findings import Finding
from brownout.cli.diagnosing.found import NOT_ASKED, Found

MOST_ERRORS = 8
WIDEST = 240
"""Characters of a line: what is cut off is in the bundle."""


def summary(found: Found, wrong: list[Finding], *, where: str) -> str:
    """The page."""
    errors = list(dict.fromkeys(found.errors))
    counts = ", ".join(f"{len(bodies)} {kind}" for kind, bodies in sorted(found.bodies.items())) or "none"
    components = [one.component or "other" for one in found.processes]
    pods = ", ".join(f"{components.count(one)} {one}" for one in sorted(set(components))) or "none"
    lines = [
        f"brownout {found.cli_version}, API server {found.server_version or 'not known'}",
        f"  objects     {counts}",
        f"  processes   {pods}",
        f"  workloads   {len(found.targets)}, with {len(found.pods)} pods",
        f"  queries     {_queries(found)}",
        "",
        "What looks wrong:" if wrong else "Nothing looks wrong, as far as could be seen.",
        *(f"  {one.rule:<12}{_cut(one.sentence)}" for one in wrong),
    ]
    if errors:
        lines += ["", "What could not be had:", *(f"  {_cut(error)}" for error in errors[:MOST_ERRORS])]
        if len(errors) > MOST_ERRORS:
            lines.append(f"  and {len(errors) - MOST_ERRORS} more, in errors.txt")
    return "\n".join([*lines, "", f"{where}: secrets are taken out; look through it before you give it away."])


def _queries(found: Found) -> str:
    asked = [one for one in found.answers if one.query]
    if any(one.result == NOT_ASKED for one in asked):
        return f"{len(asked)}, not asked"
    return f"{len(asked)} asked, {sum(one.missing for one in found.answers)} found wanting"


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= WIDEST else f"{sentence[: WIDEST - 1]}…"
