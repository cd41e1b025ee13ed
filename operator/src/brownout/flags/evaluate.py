"""Evaluation of one flag set by flagd's reference evaluator, in the words that OFREP uses.

Only the standard OpenFeature reasons and error codes leave this module: the Python OFREP provider fails open on any other.
"""

import json
from typing import Any

import msgspec
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, OpenFeatureError

from brownout.flags.render import FlagSet


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A flag's answer for one user, as OFREP writes it. `value` is the variant's, verbatim."""

    key: str
    value: Any
    reason: str
    variant: str
    metadata: dict[str, Any]


class Failure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why there is no answer, as OFREP writes it: an OpenFeature error code, and a sentence."""

    key: str
    error_code: str
    error_details: str


class Evaluator:
    """One flag set, ready to answer. Immutable: another set is another evaluator."""

    def __init__(self, flag_set: FlagSet) -> None:
        self.flag_set = flag_set
        content = json.loads(flag_set.document)
        self.keys = tuple(sorted(content["flags"]))
        self.metadata: dict[str, Any] = content["metadata"]
        self._core = FlagdCore()
        self._core.set_flags(content)

    def evaluate(self, key: str, context: dict[str, Any]) -> Evaluation | Failure:
        """The answer for one flag; `context` is OFREP's, with `targetingKey` among the attributes."""
        attributes = dict(context)
        targeting_key = attributes.pop("targetingKey", None)
        try:
            found = self._core.resolve_object_value(key, {}, EvaluationContext(targeting_key, attributes))
        except OpenFeatureError as error:
            return Failure(key=key, error_code=error.error_code.value, error_details=error.error_message or str(error))
        except Exception as error:  # a context that the reference evaluator cannot take must not take the server down
            return Failure(
                key=key, error_code=ErrorCode.GENERAL.value, error_details=f"{type(error).__name__}: {error}"
            )
        return Evaluation(
            key=key,
            value=found.value,
            reason=str(found.reason),
            variant=found.variant or "",
            metadata=dict(found.flag_metadata),
        )

    def evaluate_all(self, context: dict[str, Any]) -> list[Evaluation | Failure]:
        """The answers for every flag of the set, by key."""
        return [self.evaluate(key, context) for key in self.keys]
