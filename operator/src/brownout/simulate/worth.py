"""What a served request is worth: tier weight x feature value x the variant's quality, as the scenario publishes them.

The plant and the figures ask here, so that what is counted and what is compared cannot drift apart.
"""

from brownout.decide.cells import Cell
from brownout.simulate.scenario import Scenario, ScenarioError


def quality(scenario: Scenario, cell: Cell, variant: int) -> float:
    """How good the variant with this index is, 0 to 1; IndexError where the cell has none such.

    A variant without a quality in the scenario has its place among evenly spaced ones: 1 for the first, 0 for the last, which
    is the denial. A cell with one variant has nothing to lose: 1.
    """
    name = cell.variants[variant]
    given = scenario.weights.qualities.get(cell.key.policy.name, {})
    if name in given:
        return given[name]
    last = len(cell.variants) - 1
    return 1.0 - variant / last if last else 1.0


def weight(scenario: Scenario, cell: Cell) -> float:
    """What a request of this cell is worth at quality 1: its tier's weight times its feature's value, 1 if not given.

    A tier has no default: what its users are worth is the point of a comparison. ScenarioError where it is not given.
    """
    tier, feature = cell.key.audience.tier, cell.key.policy.name
    if tier not in scenario.weights.tiers:
        raise ScenarioError(
            f"{scenario.name}: weights.tiers: no weight for tier {tier}; write `{tier}: 1.0`, or its worth"
        )
    return scenario.weights.tiers[tier] * scenario.weights.features.get(feature, 1.0)
