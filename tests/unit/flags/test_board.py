"""The board: one writer, and readers who each see the newest."""

import asyncio

from brownout.flags.board import Board
from brownout.flags.render import FlagSet, render
from flags.builders import NAMESPACE, TIERS, cell, policy


def flag_set(variant: str, *, namespace: str = NAMESPACE) -> FlagSet:
    shed = policy(cells=[cell("free", variant)])
    return render(namespace, policies=[shed], tiers=TIERS, overrides=[], now=0)


def test_a_set_of_the_same_content_is_no_news() -> None:
    board = Board()
    change = board.change()
    assert board.publish(flag_set("lite"))
    assert change.is_set()
    change = board.change()
    assert not board.publish(flag_set("lite"))
    assert not change.is_set()


def test_without_a_name_the_only_namespace_is_meant() -> None:
    board = Board()
    assert board.only() is None
    board.publish(flag_set("lite"))
    assert board.only() == NAMESPACE
    board.publish(flag_set("lite", namespace="other"))
    assert board.only() is None
    assert board.namespaces() == [NAMESPACE, "other"]


async def test_who_comes_back_late_finds_the_newest_and_no_backlog() -> None:
    board = Board()
    change = board.change()
    for variant in ("full", "lite", "denied"):
        board.publish(flag_set(variant))
    async with asyncio.timeout(1):
        await change.wait()
    evaluator = board.get(NAMESPACE)
    assert evaluator is not None
    assert evaluator.flag_set == flag_set("denied")


async def test_a_namespaces_readers_are_woken_by_its_own_changes_alone() -> None:
    board = Board()
    one, other, every = (asyncio.create_task(board.waves(name).wait()) for name in (NAMESPACE, "other", ""))
    await asyncio.sleep(0)
    board.publish(flag_set("lite"))
    async with asyncio.timeout(1):
        await asyncio.gather(one, every)
    assert not other.done()
    board.completed()
    async with asyncio.timeout(1):
        await other
