"""How far down each cell is, so that two sets can be compared: does anybody have less by the newer one?

Who loses something has to be told at once, for the GPUs are short now. Who only gets something back can wait a few seconds, and
has to: if everybody came back in the same second, the load would be back before the features.
"""

from collections.abc import Iterable, Mapping

from brownout.flags.audience import REMAINDER, Tier
from brownout.flags.cells import Override, Policy, Share, held_back, serve

Depths = Mapping[tuple[str, ...], int]
"""Percent of a variant below the best one, by (flag, tier, cohort), and by (flag, tier, cohort, user) for users held back alone."""


def depths(
    flag: str, policy: Policy, tiers: Iterable[Tier], overrides: Iterable[Override]
) -> dict[tuple[str, ...], int]:
    """The depth of every cell of a policy; `overrides` are those in force for it, the newest first."""
    words = list(overrides)
    found: dict[tuple[str, ...], int] = {}
    for tier in tiers:
        for cohort in (REMAINDER, *(cohort.name for cohort in tier.spec.cohorts)):
            cell = (flag, tier.key.name, cohort)
            found[cell] = _depth(policy, serve(policy, tier=cell[1], cohort=cohort, overrides=words))
            for share, users in held_back(policy, tier=cell[1], cohort=cohort, overrides=words).items():
                found |= {(*cell, user): _depth(policy, share) for user in users}
    return found


def takes(before: Depths, after: Depths) -> bool:
    """Whether somebody has less by `after` than by `before`. Other cells than before are: nobody knows who is in them."""
    if {cell[:3] for cell in before} != {cell[:3] for cell in after}:
        return True
    return any(_of(after, cell) > _of(before, cell) for cell in {*before, *after})


def _of(known: Depths, cell: tuple[str, ...]) -> int:
    """A user who is not held back alone is where the cell is."""
    return known[cell] if cell in known else known[cell[:3]]


def _depth(policy: Policy, share: Share) -> int:
    """The last variant goes by many names, each with the reason."""
    names = [variant.name for variant in policy.spec.variants]
    step = names.index(share.variant) if share.variant in names else len(names) - 1
    return 100 * step + 100 - share.percent
