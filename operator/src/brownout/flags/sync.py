"""flagd's sync protocol over gRPC, for providers that evaluate in process, and for flagd itself.

The selector names the namespace, plainly or as `flagSetId=NAMESPACE`, in the `flagd-selector` header or in the request; without
one the only namespace that is served. A stream never queues: each reader has its own coroutine, and what it gets after a pause is the
newest set, so that a slow one delays nobody and catches up at once.

Who asks before the namespaces are known waits, for the set may be about to come. After that a namespace without policies and
tiers is NOT_FOUND, with those that are served; stock providers try again every few seconds, and so find a policy that comes
later. A namespace given by `--namespace` is always served, were it with an empty set.
"""

import re
from collections.abc import AsyncIterator

import grpc
from google.protobuf.struct_pb2 import Struct
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2, sync_pb2_grpc

from brownout.flags.board import Board
from brownout.flags.evaluate import Evaluator
from brownout.flags.metrics import Metrics

SELECTOR = re.compile(r"(?:flagSetId=)?([a-z0-9]([-a-z0-9]*[a-z0-9])?)")

OPTIONS = (
    # Stock clients ping as often as they are told to. Pings are cheap; a connection ended for "too many pings" is not.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # Streams are silent for hours: find the dead ones.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A port that is taken is an error, not a second listener.
    ("grpc.so_reuseport", 0),
)


class FlagSync(sync_pb2_grpc.FlagSyncServiceServicer):
    """The three calls."""

    def __init__(self, board: Board, metrics: Metrics) -> None:
        self._board = board
        self._metrics = metrics

    async def SyncFlags(  # noqa: N802 - the protocol's name
        self, request: sync_pb2.SyncFlagsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[sync_pb2.SyncFlagsResponse]:
        """The namespace's set, and every newer one."""
        selector = _selector(request.selector, context)
        sent = ""
        with self._metrics.streams.track_inprogress():
            while True:
                change = self._board.change()
                evaluator = await self._find(selector, context)
                if evaluator is None or evaluator.flag_set.version == sent:
                    await change.wait()
                    continue
                selector = evaluator.flag_set.namespace  # a second namespace must not end the streams that named none
                sent = evaluator.flag_set.version
                yield sync_pb2.SyncFlagsResponse(flag_configuration=evaluator.flag_set.document)
                self._metrics.sent.inc()

    async def FetchAllFlags(  # noqa: N802 - the protocol's name
        self, request: sync_pb2.FetchAllFlagsRequest, context: grpc.aio.ServicerContext
    ) -> sync_pb2.FetchAllFlagsResponse:
        """The namespace's set as it is now."""
        evaluator = await self._find(_selector(request.selector, context), context)
        if evaluator is not None:
            return sync_pb2.FetchAllFlagsResponse(flag_configuration=evaluator.flag_set.document)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no flag set yet: the API server has not been heard")
        raise AssertionError("abort raises")

    async def GetMetadata(  # noqa: N802 - the protocol's name
        self, request: sync_pb2.GetMetadataRequest, context: grpc.aio.ServicerContext
    ) -> sync_pb2.GetMetadataResponse:
        """Nothing to add to contexts. Clients ask without a selector and give up on an error, so that it is never one."""
        return sync_pb2.GetMetadataResponse(metadata=Struct())

    async def _find(self, selector: str, context: grpc.aio.ServicerContext) -> Evaluator | None:
        """The evaluator that a selector names; None while it may yet come. Aborts the call where it cannot be found."""
        served = ", ".join(self._board.namespaces()) or "none yet"
        match = SELECTOR.fullmatch(selector)
        if selector and match is None:
            sentence = (
                f"selector {selector!r} names no namespace; write NAMESPACE or flagSetId=NAMESPACE; served: {served}"
            )
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, sentence)
        namespace = match[1] if match else self._board.only()
        if namespace is None and self._board.namespaces():
            sentence = f"several namespaces are served; write one of them as the selector: {served}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, sentence)
        evaluator = self._board.get(namespace or "")
        if evaluator is None and self._board.complete:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"no flags are served for {namespace or 'anybody'}; served: {served}"
            )
        return evaluator


def _selector(requested: str, context: grpc.aio.ServicerContext) -> str:
    """The header is what newer clients send; older ones put the same into the request."""
    metadata = dict(context.invocation_metadata() or ())
    return str(metadata.get("flagd-selector") or requested).strip()
