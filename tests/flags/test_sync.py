"""flagd's sync protocol on a real gRPC server: what each reader gets, however slow, and what is said to those who ask amiss."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2, sync_pb2_grpc

from brownout.api.policy import Notice
from brownout.flags.board import Board
from brownout.flags.metrics import Metrics
from brownout.flags.render import FlagSet, render
from brownout.flags.sync import OPTIONS, FlagSync
from flags.builders import NAMESPACE, TIERS, policy
from support.waiting import wait_for

Stub = Any
WITHIN = 10.0


def flag_set(version: int, *, namespace: str = NAMESPACE, kilobytes: int = 0) -> FlagSet:
    notices = [Notice(locale=f"x{'abcdefgh'[n % 8]}-{n}", text="x" * 500) for n in range(2 * kilobytes)]
    return render(namespace, policies=[policy(version=version, notices=notices)], tiers=TIERS, overrides=[], now=0)


@asynccontextmanager
async def served(board: Board) -> AsyncIterator[str]:
    """The address of a server that serves this board."""
    server = grpc.aio.server(options=OPTIONS)
    FlagSync(board, Metrics()).add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def stub(address: str, *options: tuple[str, int]) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield sync_pb2_grpc.FlagSyncServiceStub(channel)


async def next_set(stream: Any) -> str:
    async with asyncio.timeout(WITHIN):
        answer = await stream.read()
    assert answer is not grpc.aio.EOF
    return str(answer.flag_configuration)


async def refused(call: Callable[[], Awaitable[Any]]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(WITHIN):
            await call()
    return caught.value


async def test_a_stream_has_the_set_at_once_and_each_newer_one() -> None:
    board = Board()
    board.publish(flag_set(1))
    async with served(board) as address, stub(address) as client:
        stream = client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE))
        for version in (1, 2, 3):
            board.publish(flag_set(version))
            assert await next_set(stream) == flag_set(version).document


async def test_a_slow_reader_delays_nobody_and_gets_the_newest_and_no_backlog() -> None:
    board, last = Board(), 60
    board.publish(flag_set(0, kilobytes=200))
    async with served(board) as address, stub(address) as fast_client, stub(address) as slow_client:
        slow = slow_client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE))
        await next_set(slow)
        fast = fast_client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE))
        await next_set(fast)
        for version in range(1, last + 1):
            board.publish(flag_set(version, kilobytes=200))
            assert await next_set(fast) == flag_set(version, kilobytes=200).document
        seen = 1
        while await next_set(slow) != flag_set(last, kilobytes=200).document:
            seen += 1
        assert seen < last / 2, "what a slow reader gets is what the connection had room for, then the newest"


async def test_readers_that_never_read_keep_nobody_waiting() -> None:
    board, stuck = Board(), 100
    board.publish(flag_set(0, kilobytes=200))
    async with served(board) as address, stub(address) as stuck_client, stub(address) as fast_client:
        unread = [stuck_client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE)) for _ in range(stuck)]
        for stream in unread:
            await stream.initial_metadata()
        fast = fast_client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE))
        await next_set(fast)
        for version in range(1, 11):
            document = flag_set(version, kilobytes=200).document
            board.publish(flag_set(version, kilobytes=200))
            assert await next_set(fast) == document
        for stream in unread:
            stream.cancel()


async def test_a_thousand_streams_all_get_a_flip() -> None:
    board, streams = Board(), 1_000
    board.publish(flag_set(0))
    async with served(board) as address, stub(address) as client:
        opened = [client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE)) for _ in range(streams)]
        for stream in opened:
            await next_set(stream)
        assert len(board.waves(NAMESPACE)) == streams
        board.publish(flag_set(1))
        received = await asyncio.gather(*(next_set(stream) for stream in opened))
        assert set(received) == {flag_set(1).document}
        for stream in opened:
            stream.cancel()


async def test_streams_that_ended_are_forgotten() -> None:
    board = Board()
    board.publish(flag_set(0))
    async with served(board) as address, stub(address) as client:
        for _ in range(20):
            stream = client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE))
            await next_set(stream)
            stream.cancel()
        await asyncio.to_thread(wait_for, lambda: len(board.waves(NAMESPACE)) == 0, "nobody waits any more")


async def test_who_asks_before_the_namespaces_are_known_waits() -> None:
    board = Board()
    async with served(board) as address, stub(address) as client:
        stream = client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE))
        waiting = asyncio.create_task(next_set(stream))
        error = await refused(lambda: client.FetchAllFlags(sync_pb2.FetchAllFlagsRequest(selector=NAMESPACE)))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert not waiting.done()
        board.publish(flag_set(1))
        assert await waiting == flag_set(1).document


async def test_who_waits_for_a_namespace_that_turns_out_not_to_be_there_is_told_which_are() -> None:
    board = Board()
    async with served(board) as address, stub(address) as client:
        stream = client.SyncFlags(sync_pb2.SyncFlagsRequest(selector="nowhere"))
        waiting = asyncio.create_task(refused(lambda: stream.read()))
        board.publish(flag_set(1))
        board.completed()
        error = await waiting
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert NAMESPACE in str(error.details())


async def test_without_any_namespace_a_client_is_told_so() -> None:
    board = Board()
    board.completed()
    async with served(board) as address, stub(address) as client:
        error = await refused(lambda: client.FetchAllFlags(sync_pb2.FetchAllFlagsRequest()))
        assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_a_second_namespace_does_not_end_the_streams_that_named_none() -> None:
    board = Board()
    board.publish(flag_set(1))
    board.completed()
    async with served(board) as address, stub(address) as client:
        stream = client.SyncFlags(sync_pb2.SyncFlagsRequest())
        await next_set(stream)
        board.publish(flag_set(1, namespace="other"))
        board.publish(flag_set(2))
        assert await next_set(stream) == flag_set(2).document


async def test_a_change_of_another_namespace_is_not_sent() -> None:
    board = Board()
    board.publish(flag_set(1))
    async with served(board) as address, stub(address) as client:
        stream = client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE))
        await next_set(stream)
        board.publish(flag_set(1, namespace="other"))
        board.publish(flag_set(2))
        assert await next_set(stream) == flag_set(2).document


async def test_a_client_that_pings_often_is_not_sent_away() -> None:
    board = Board()
    board.publish(flag_set(1))
    often = (("grpc.keepalive_time_ms", 1_000), ("grpc.http2.max_pings_without_data", 0))
    async with served(board) as address, stub(address, *often) as client:
        stream = client.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE))
        await next_set(stream)
        with pytest.raises(TimeoutError):  # five pings, and nothing said: still connected
            async with asyncio.timeout(5.5):
                await stream.read()
