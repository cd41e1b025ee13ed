"""What a cell has at this moment: status tells what the loop decided, and a person's word counts before a tick has told of it.

The flag server serves an override from the moment at which it is there, and no longer once it is gone. Status says so a tick
later, and its `since` is that of what the loop gives below.
"""

from collections.abc import Sequence

from msgspec import structs

from brownout.api.override import ends_at
from brownout.api.policy import CellStatus
from brownout.api.reasons import Reason
from brownout.decide.recall import rfc3339
from brownout.flags.cells import NOT_SAID_YET, Override, Policy, word_for


def as_it_stands(policy: Policy, line: CellStatus, words: Sequence[Override] | None) -> CellStatus:
    """A line of a policy's status under the overrides in force, the newest first; None: they are not known.

    Under one of them `since` is its creation, and `expectedReturn` its end.
    """
    if words is None:
        return structs.replace(line, since="") if line.overridden_to else line
    word = _word(policy, line, words)
    if word is not None:
        return structs.replace(
            line,
            overridden_to=word.spec.variant,
            reason=str(Reason.OVERRIDE),
            message=f"FeatureOverride {word.key.name}: {word.spec.reason}",
            since=rfc3339(word.created_at),
            expected_return=rfc3339(ends_at(word.spec, created_at=word.created_at)),
            refused_by="",
            refusal="",
        )
    if line.overridden_to:
        return structs.replace(line, overridden_to="", reason="", message=NOT_SAID_YET, expected_return="")
    return line


def _word(policy: Policy, line: CellStatus, words: Sequence[Override]) -> Override | None:
    parts = {entry.tier_ref.name: entry.availability for entry in policy.spec.tiers}
    if parts.get(line.tier, "Never") == "Never":  # no part of it is there to be spoken of
        return None
    key = policy.key
    own = [word for word in words if (word.key.namespace, word.spec.policy_ref.name) == (key.namespace, key.name)]
    return word_for(policy, line.tier, line.cohort, own)
