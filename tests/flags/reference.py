"""The reference evaluator for flagd's format, asked as OFREP asks it."""

import json
import time
from typing import Any, NamedTuple

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from brownout.flags.evaluate import Evaluation
from brownout.flags.render import FlagSet


class Answer(NamedTuple):
    value: Any
    reason: str
    variant: str
    metadata: dict[str, Any]


class Reference:
    """One flag set in `openfeature-flagd-core`."""

    def __init__(self, flag_set: FlagSet) -> None:
        self._core = FlagdCore()
        self._core.set_flags(flag_set.document)

    def evaluate(self, key: str, context: dict[str, Any]) -> tuple[Answer, int]:
        """The answer, and the Unix second that it is of: the reference looks at the clock itself."""
        attributes = {name: value for name, value in context.items() if name != "targetingKey"}
        user = EvaluationContext(context.get("targetingKey"), attributes)
        while True:
            second = int(time.time())
            found = self._core.resolve_object_value(key, {}, user)
            if int(time.time()) == second:
                reason, variant = str(found.reason), found.variant or ""
                return Answer(found.value, reason, variant, dict(found.flag_metadata)), second


def as_answer(found: Evaluation) -> Answer:
    """What the server writes, read as a client would."""
    content = json.loads(found.content)
    assert content.keys() == {"key", "value", "reason", "variant", "metadata"}
    assert content["key"] == found.key
    del content["key"]
    return Answer(**content)
