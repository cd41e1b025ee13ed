"""What the command line says of `brownout flags serve`."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from brownout.flags.callers import CallerSettings
from brownout.flags.connection import Limits
from brownout.flags.quota.ledger import IN_MEMORY


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Ports: 0 takes a free one. No namespaces means all of them. Without a port for it there is no console.

    quota_storage: a URL, which may hold a password and is never written anywhere.
    """

    host: str = "127.0.0.1"
    http_port: int = 8080
    grpc_port: int = 8015
    namespaces: Sequence[str] = ()
    snapshot_dir: Path | None = None
    empty_believed_after: float = 600.0
    limits: Limits = Limits()
    public_url: str = ""
    cors_origins: Sequence[str] = ()
    callers: CallerSettings = CallerSettings()
    notice_spread_seconds: float = 10.0
    most_event_streams: int = 20_000
    status_page: bool = True
    console_host: str = "127.0.0.1"
    console_port: int | None = None
    console_host_names: Sequence[str] = ()
    quota_storage: str = IN_MEMORY
