"""What `brownout why` says."""

from typing import Any, Literal

from msgspec import Struct

Verdict = Literal["yes", "no", "part", "-"]
"""yes: nothing is taken here. no: here it is. part: some of the cell's users lose it; what follows says which. -: it has no say."""


class Gate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One gate. `found`: its verdict in words. `evidence`: what that rests on, a line each."""

    name: str
    says: Verdict
    found: str
    evidence: tuple[str, ...] = ()


class Why(Struct, frozen=True, kw_only=True, rename="camel"):
    """One user and one feature.

    `variant` and `reason` are the evaluator's, as OpenFeature clients get them; `value` is theirs to see. `decided_by`: the
    gate that settled it. `gates_say`: the variant that the gates come to, the same unless `disagreement` says otherwise.
    """

    feature: str
    namespace: str
    flag_key: str
    context: dict[str, Any]
    tier: str
    cohort: str
    variant: str
    value: Any
    reason: str
    decided_by: str
    gates_say: str
    gates: tuple[Gate, ...]
    notice: str = ""
    expected_return: str = ""
    version: str = ""
    disagreement: str = ""
