"""A flag server that a test commands: flagd's sync protocol over gRPC, sending whatever set it is given."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2, sync_pb2_grpc

ONE_LISTENER = (("grpc.so_reuseport", 0),)


class FlagSource(sync_pb2_grpc.FlagSyncServiceServicer):
    """Sends the set that was pushed last to whoever connects, and every later one. `port` is kept over a restart."""

    def __init__(self) -> None:
        self.port = 0
        self.selectors: list[str] = []
        self._news = threading.Condition()
        self._document = ""
        self._version = 0
        self._server: grpc.Server | None = None

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8), options=ONE_LISTENER)
        sync_pb2_grpc.add_FlagSyncServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        if self._server is None:
            return
        stopping, self._server = self._server, None
        with self._news:
            self._news.notify_all()
        stopping.stop(grace=None).wait()

    def push(self, flags: dict[str, Any]) -> None:
        with self._news:
            self._document = json.dumps({"flags": flags})
            self._version += 1
            self._news.notify_all()

    def SyncFlags(  # noqa: N802 - the protocol's name
        self, request: sync_pb2.SyncFlagsRequest, context: grpc.ServicerContext
    ) -> Iterator[sync_pb2.SyncFlagsResponse]:
        self.selectors.append(request.selector)
        server, sent = self._server, 0
        context.add_callback(self._wake)

        def ended() -> bool:
            return self._server is not server or not context.is_active()

        while True:
            with self._news:
                while self._version == sent and not ended():
                    self._news.wait()
                document, sent = self._document, self._version
            if ended():
                return
            yield sync_pb2.SyncFlagsResponse(flag_configuration=document)

    def FetchAllFlags(  # noqa: N802 - the protocol's name
        self, request: sync_pb2.FetchAllFlagsRequest, context: grpc.ServicerContext
    ) -> sync_pb2.FetchAllFlagsResponse:
        return sync_pb2.FetchAllFlagsResponse(flag_configuration=self._document)

    def GetMetadata(  # noqa: N802 - the protocol's name
        self, request: sync_pb2.GetMetadataRequest, context: grpc.ServicerContext
    ) -> sync_pb2.GetMetadataResponse:
        return sync_pb2.GetMetadataResponse()

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()


NOTICE = "Image generation is paused for free accounts while we add capacity."
NOTICE_DE = "Bilder sind für freie Konten gerade angehalten."
VARIANTS = {
    "full": {"enabled": True, "steps": 8},
    "lite": {"enabled": True, "steps": 2},
    "slow": {"enabled": True, "steps": 24},
    "long": {"enabled": True, "steps": 60},
    "denied_capacity": {"enabled": False},
    "denied_plan": {"enabled": False},
}
AUDIENCES = {
    "pro": {"tier": "pro", "cohort": "", "priority": 100},
    "free": {"tier": "free", "cohort": "", "priority": 10},
    "free.new-accounts": {"tier": "free", "cohort": "new-accounts", "priority": 10},
}
IS_PRO = {"==": [{"var": "plan"}, "pro"]}
IS_NEW = {">": [{"var": "accountCreatedAt"}, 2_000_000_000]}


def flag_set(*, pro: str = "full", free: str = "full", flag_key: str = "image-generation") -> dict[str, Any]:
    """A set in which each tier is served the variant of that name."""
    return {
        flag_key: {
            "state": "ENABLED",
            "variants": VARIANTS,
            "defaultVariant": "denied_plan",
            "targeting": {"if": [IS_PRO, pro, free]},
            "metadata": {"notice": NOTICE, "notice_en": NOTICE, "notice_de": NOTICE_DE, "retryAfterSeconds": 17},
        },
        "brownout.audience": {
            "state": "ENABLED",
            "variants": AUDIENCES,
            "defaultVariant": "free",
            "targeting": {"if": [IS_PRO, "pro", {"if": [IS_NEW, "free.new-accounts", "free"]}]},
        },
    }
