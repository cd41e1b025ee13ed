"""The two states between which tests of faults go: a surge that took something from free users, and everything back."""

from collections.abc import Callable

from support.operator_world import World
from support.size import WHOLE
from support.waiting import holds_for, wait_for

SETTLED_SECONDS = 8
"""Longer than a dwell and a step of the small product last."""
RESTORED_SECONDS = 120.0
DENIED = ("denied", 100)


def surge(world: World) -> tuple[str, int]:
    """More than the pool carries: all GPUs are in use, and free users have lost something. Returns what they have."""
    world.set_load(pro=2, free=20)
    world.wait_for_replicas(4)
    wait_for(lambda: world.served("free") != ("full", 100), "free users lose something")
    wait_for(lambda: world.status("InferenceScaler", "image")["replicas"]["ready"] == 4, "four replicas are ready")
    return settled(lambda: world.served("free"))


def lasting_surge(world: World) -> None:
    """Paying users alone fill what there is: free users are denied, and no part of what they lost fits again.

    They ask for so much that it is beyond the GPUs however noisy its count is taken to be. All of it fits once they ask for
    little, so that what comes back then comes back soon.
    """
    wait_for(lambda: world.served("free"), "it is decided about free users", seconds=60)
    if world.served("free") != DENIED:
        world.set_load(pro=3.5, free=0.05)
        world.wait_for_replicas(4)
        wait_for(
            lambda: world.status("InferenceScaler", "image")["replicas"]["ready"] == 4, "four are ready", seconds=60
        )
        world.set_load(pro=4.6, free=3)  # on top of four that are ready, so that all is taken at once
        world.wait_for_variant("free", "denied", seconds=60)
    world.set_load(pro=4.6, free=3, admitted=0)


def calm(world: World) -> None:
    """The load falls, while those who were denied still ask a little."""
    world.set_load(pro=0.5, free=0.5, admitted=0.05)


def everything_comes_back(world: World, *, seconds: float = RESTORED_SECONDS) -> None:
    """The load falls, and free users get everything back."""
    calm(world)
    world.wait_for_variant("free", "full", seconds=seconds)


def converges(world: World) -> None:
    """Everything comes back in time; in a bounded run only where that is what the test is about."""
    if WHOLE:
        everything_comes_back(world)


def settled(look: Callable[[], tuple[str, int]]) -> tuple[str, int]:
    """What something is once it has stayed so for longer than a dwell and a step last."""
    seen = look()

    def stays() -> bool:
        nonlocal seen
        before, seen = seen, look()
        assert before == seen
        holds_for(lambda: look() == seen, f"it stays {seen}", seconds=SETTLED_SECONDS)
        return True

    wait_for(stays, "it settles", seconds=60)
    return seen
