"""flagd's sync protocol over gRPC, for providers that evaluate in process, and for flagd itself.

The selector names the namespace, in the `flagd-selector` header or, as older clients have it, in the request. flagd has one pair
in a selector: `flagSetId=NAMESPACE`, the `flagSetId` that the set carries in its metadata, or `source=NAMESPACE`; NAMESPACE alone
is short for the latter. Without a selector the only namespace that is served is meant.

A stream never queues: each reader has its own coroutine, and what it gets after a pause is the newest set, so that a slow one
delays nobody and catches up at once. A set is written once, however many read it, and sent to some of them at a time.

Who asks before the namespaces are known waits, for the set may be about to come. After that a namespace without policies and
tiers is NOT_FOUND, with those that are served; stock providers try again every few seconds, and so find a policy that comes
later. A namespace given by `--namespace` is always served, were it with an empty set.
"""

import re
from collections.abc import AsyncIterator

import grpc
from google.protobuf.struct_pb2 import Struct
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2

from brownout.flags.board import Board
from brownout.flags.evaluate import Evaluator
from brownout.flags.metrics import Metrics

SELECTOR = re.compile(r"(?:(?:flagSetId|source)=)?([a-z0-9]([-a-z0-9]*[a-z0-9])?)")
SERVICE = "flagd.sync.v1.FlagSyncService"

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


class RefusedError(Exception):
    """A call that ends with a status and a sentence."""

    def __init__(self, code: grpc.StatusCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class FlagSync:
    """The three calls."""

    def __init__(self, board: Board, metrics: Metrics) -> None:
        self._board = board
        self._metrics = metrics
        self._written: dict[str, tuple[str, bytes]] = {}

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the calls on a server. A set is sent as bytes, so that it is not written anew for each reader."""
        handlers = {
            "SyncFlags": grpc.unary_stream_rpc_method_handler(
                self.sync_flags, request_deserializer=sync_pb2.SyncFlagsRequest.FromString
            ),
            "FetchAllFlags": grpc.unary_unary_rpc_method_handler(
                self.fetch_all_flags, request_deserializer=sync_pb2.FetchAllFlagsRequest.FromString
            ),
            "GetMetadata": grpc.unary_unary_rpc_method_handler(
                self.get_metadata, request_deserializer=sync_pb2.GetMetadataRequest.FromString
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def sync_flags(
        self, request: sync_pb2.SyncFlagsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        """The namespace's set, and every newer one."""
        selector = _selector(request.selector, context)
        sent = ""
        with self._metrics.streams.track_inprogress():
            while True:
                evaluator = await self._found(selector, context)
                if evaluator is None:
                    await self._board.waves().wait()
                    continue
                if evaluator.flag_set.version == sent:
                    await self._board.waves(evaluator.flag_set.namespace).wait()
                    continue
                selector = evaluator.flag_set.namespace  # a second namespace must not end the streams that named none
                sent = evaluator.flag_set.version
                yield self._message(evaluator)
                self._metrics.sent.inc()

    async def fetch_all_flags(self, request: sync_pb2.FetchAllFlagsRequest, context: grpc.aio.ServicerContext) -> bytes:
        """The namespace's set as it is now."""
        selector = _selector(request.selector, context)
        evaluator = await self._found(selector, context)
        if evaluator is not None:
            return self._message(evaluator)
        await context.abort(grpc.StatusCode.UNAVAILABLE, self._board.why_not_yet(_namespace(selector) or None))
        raise AssertionError("abort raises")

    async def get_metadata(self, request: sync_pb2.GetMetadataRequest, context: grpc.aio.ServicerContext) -> bytes:
        """Nothing to add to contexts. Clients ask without a selector and give up on an error, so that it is never one."""
        return sync_pb2.GetMetadataResponse(metadata=Struct()).SerializeToString()

    def _message(self, evaluator: Evaluator) -> bytes:
        """A set as both calls send it: their answers have one field, of one number."""
        flag_set = evaluator.flag_set
        version, message = self._written.get(flag_set.namespace, ("", b""))
        if version != flag_set.version:
            message = sync_pb2.SyncFlagsResponse(flag_configuration=flag_set.document).SerializeToString()
            self._written[flag_set.namespace] = flag_set.version, message
        return message

    async def _found(self, selector: str, context: grpc.aio.ServicerContext) -> Evaluator | None:
        """The evaluator that a selector names; None while it may yet come. Waits for nothing but the end of a refused call."""
        try:
            return self._find(selector)
        except RefusedError as refused:
            await context.abort(refused.code, str(refused))
            raise AssertionError("abort raises") from None

    def _find(self, selector: str) -> Evaluator | None:
        """The evaluator that a selector names; None while it may yet come. Raises RefusedError where it cannot be found."""
        served = ", ".join(self._board.namespaces()) or "none yet"
        namespace = _namespace(selector) or self._board.only()
        if selector and not _namespace(selector):
            sentence = (
                f"selector {selector!r:.100} names no namespace; write NAMESPACE, flagSetId=NAMESPACE or"
                f" source=NAMESPACE; served: {served}"
            )
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, sentence)
        if namespace is None and self._board.namespaces():
            sentence = f"several namespaces are served; write one of them as the selector: {served}"
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, sentence)
        evaluator = self._board.get(namespace or "")
        if evaluator is None and not self._board.may_come(namespace):
            sentence = f"no flags are served for {namespace or 'anybody'}; served: {served}"
            raise RefusedError(grpc.StatusCode.NOT_FOUND, sentence)
        return evaluator


def _namespace(selector: str) -> str:
    """The namespace that a selector names; empty where it names none."""
    match = SELECTOR.fullmatch(selector)
    return match[1] if match else ""


def _selector(requested: str, context: grpc.aio.ServicerContext) -> str:
    """The header is what newer clients send; older ones put the same into the request."""
    metadata = dict(context.invocation_metadata() or ())
    return str(metadata.get("flagd-selector") or requested).strip()
