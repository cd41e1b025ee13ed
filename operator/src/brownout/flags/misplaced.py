"""Attributes of a user outside of `context`, where OFREP does not look for them: the commonest mistake of hand-written clients.

Whoever forgets the wrapper would be taken for the unknown user and never learn why a paying user has the default tier. So a body
without a context that says something else is refused with a sentence that tells what to write. What stands beside a context is left
alone, because a later OFREP may put something there (the schemas of OFREP 0.3.0 forbid no other members), but for a
`targetingKey` that the context lacks: without it nobody's percentage is sticky.
"""

from collections.abc import Container, Mapping
from typing import Any

TARGETING_KEY = "targetingKey"

WRAPPERS = frozenset({"Context", "ctx", "evalContext", "evaluation_context", "evaluationContext", "EvaluationContext"})
"""What others call the context: SDKs in code (`evaluationContext`), flagd's gRPC, and readers of examples."""


def misplaced(
    content: Mapping[str, Any], context: Mapping[str, Any] | None, *, beside: Container[str] = ()
) -> tuple[str, str] | None:
    """The member of a body that is where nobody looks for it, and what to write; None where there is none.

    context: the one in the body, None where there is none. beside: the members that may stand without a context.
    """
    if TARGETING_KEY in content and TARGETING_KEY not in (context or ()):
        return TARGETING_KEY, 'stands beside the context; write it inside: {"context": {"targetingKey": ...}}'
    if context is not None:
        return None
    others = [name for name in content if name != "context" and name not in beside]
    if not others:
        return None
    name = next((each for each in others if each in WRAPPERS), others[0])
    if name in WRAPPERS:
        return name, 'OFREP calls it context; write {"context": {...}}'
    return name, 'stands outside of a context; write the user\'s attributes inside of one: {"context": {...}}'
