"""One user's burst on a real control plane: that user is held back, nobody else, and comes back."""

from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, Manifest, World
from support.waiting import wait_for

pytest_plugins = ("support.operator_fixtures",)


def heaviest(**rates: float) -> str:
    """The reference server's metric, of free users."""
    name = "brownout_feature_heaviest_requests_per_second"
    lines = [
        f'{name}{{feature="{FEATURE}",tier="free",cohort="",user="{user}"}} {rate}' for user, rate in rates.items()
    ]
    return "\n".join(lines)


def held_back(world: World) -> dict[str, str]:
    """The variants of the users of whom status speaks."""
    cells: list[Manifest] = world.status("FeaturePolicy", FEATURE).get("cells", [])
    return {cell["user"]: cell["variant"] for cell in cells if cell.get("user") and cell["variant"] != "full"}


def test_one_users_burst_is_answered_by_that_user_and_ends_with_it(world: World, operator: Operator) -> None:
    remember = {"spec": {"demand": {"rememberSeconds": 20}}}
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, remember)
    world.wait_for_replicas(2)
    world.set_load(pro=0.5, free=10, extra=heaviest(script=9.4, ben=0.1))
    wait_for(lambda: held_back(world) == {"script": "denied"}, "the script is held back alone")
    assert world.served("free") == ("full", 100)
    assert world.served("pro") == ("full", 100)
    world.set_load(pro=0.5, free=0.5, extra=heaviest(ben=0.1))
    wait_for(lambda: not held_back(world), "the script is back", seconds=60)
    assert world.served("free") == ("full", 100)
