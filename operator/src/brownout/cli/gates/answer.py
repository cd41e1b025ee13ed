"""One user and one feature: the gates, and the flag server's own answer beside them."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from brownout.api.resources import InvalidObject, Stored
from brownout.cli.failure import failed
from brownout.cli.gates.matches import Person, place
from brownout.cli.gates.model import Gate, Why
from brownout.cli.gates.served import settle
from brownout.cli.overview import Objects
from brownout.flags.audience import Tier
from brownout.flags.cells import Override, Policy
from brownout.flags.evaluate import Evaluation, Evaluator, Failure
from brownout.flags.render import AUDIENCE, render

NEEDED = ("FeaturePolicy", "UserTier", "FeatureOverride")


class Product(Struct, frozen=True, kw_only=True):
    """A namespace's objects, as the flag server sees them. `unreadable`: sentences about those that it cannot read."""

    namespace: str
    policies: tuple[Policy, ...]
    tiers: tuple[Tier, ...] = ()
    overrides: tuple[Override, ...] = ()
    unreadable: tuple[str, ...] = ()


def product(objects: Objects, namespace: str) -> Product:
    """Typed objects by kind, of one namespace."""

    def of(kind: str) -> tuple[Stored[Any, Any], ...]:
        return tuple(o for o in objects.get(kind, ()) if isinstance(o, Stored) and o.key.namespace == namespace)

    return Product(
        namespace=namespace,
        policies=of("FeaturePolicy"),
        tiers=of("UserTier"),
        overrides=of("FeatureOverride"),
        unreadable=tuple(
            one.message
            for found in objects.values()
            for one in found
            if isinstance(one, InvalidObject) and one.key.namespace == namespace
        ),
    )


def feature(policies: Sequence[Policy], name: str, namespace: str) -> Policy:
    """The policy of this name, or of this flag key. Raises CommandError, saying which there are."""
    by_name = next((policy for policy in policies if policy.key.name == name), None)
    ordered = sorted(policies, key=lambda policy: (policy.created_at, policy.key.name))
    found = by_name or next((policy for policy in ordered if policy.spec.flag_key == name), None)
    if found is None:
        there = ", ".join(sorted(policy.key.name for policy in policies))
        if not there:
            raise failed(
                f"there is no feature {name!r} in {namespace}, and no other; write -n with the namespace that has it"
            )
        raise failed(f"there is no feature {name!r} in {namespace}; there are: {there}")
    return found


def why(seen: Product, policy: Policy, person: Person) -> Why:
    """The gates for this user, and what the rendered set answers."""
    flag_key = policy.spec.flag_key
    keeper = _keeper(seen.policies, flag_key)
    claim = _claim(policy, keeper)
    served = keeper or policy
    placed = place(person, seen.tiers)
    if placed.tier is None:
        denial = f"{served.spec.variants[-1].name}_plan"
        variant, by, gates, line = denial, "tier", placed.gates, None
    else:
        tier, cohort = placed.tier.key.name, placed.cohort
        settled = settle(served, person, tier=tier, cohort=cohort, overrides=seen.overrides)
        variant, by, line = settled.variant, settled.by, settled.line
        gates = (*claim, *placed.gates, *settled.gates)
    flag_set = render(
        seen.namespace, policies=seen.policies, tiers=seen.tiers, overrides=seen.overrides, now=person.now
    )
    answer = Evaluator(flag_set).evaluate(flag_key, person.context, now=person.now)
    return Why(
        feature=served.key.name,
        namespace=seen.namespace,
        flag_key=flag_key,
        context=person.context,
        tier=placed.tier.key.name if placed.tier else "",
        cohort=placed.cohort,
        variant=answer.variant if isinstance(answer, Evaluation) else "",
        value=answer.value if isinstance(answer, Evaluation) else None,
        reason=answer.reason if isinstance(answer, Evaluation) else answer.error_code,
        decided_by=by,
        gates_say=variant,
        gates=gates,
        notice=_notice(answer, served, variant),
        expected_return=line.expected_return if line else "",
        version=flag_set.version,
        disagreement=_disagreement(answer, variant),
    )


def _keeper(policies: Sequence[Policy], flag_key: str) -> Policy | None:
    """Whose the flag is: of two policies that claim it the older one's."""
    claiming = [policy for policy in policies if policy.spec.flag_key == flag_key and flag_key != AUDIENCE]
    return min(claiming, key=lambda policy: (policy.created_at, policy.key.name), default=None)


def _claim(policy: Policy, keeper: Policy | None) -> tuple[Gate, ...]:
    if keeper is None:
        return (Gate(name="flag", says="no", found=f"the key {policy.spec.flag_key} is reserved; write another"),)
    if keeper is policy:
        return ()
    words = f"{keeper.key.name} is older and has the flag {policy.spec.flag_key}; {policy.key.name} is not served"
    return (Gate(name="flag", says="-", found=words),)


def _notice(answer: Evaluation | Failure, policy: Policy, variant: str) -> str:
    """What a client may show this user, in the default locale; empty where nothing is taken."""
    if not isinstance(answer, Evaluation) or variant == policy.spec.variants[0].name:
        return ""
    names = [one.name for one in policy.spec.variants]
    return str(answer.metadata.get("notice_degraded" if variant in names else "notice", ""))


def _disagreement(answer: Evaluation | Failure, variant: str) -> str:
    if isinstance(answer, Failure):
        return f"the flag server has no answer for it: {answer.error_code}: {answer.error_details}"
    if answer.variant != variant:
        return f"the gates come to {variant}, the flag server to {answer.variant}; please report this, with the context"
    return ""
