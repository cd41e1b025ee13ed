"""`brownout flags serve`: the data plane as a process."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers


def register(subparsers: "Subparsers") -> None:
    """Add `flags` and what can be done with them."""
    flags = subparsers.add_parser("flags", help="serve the flags: OFREP, flagd sync, pages")
    commands = flags.add_subparsers(dest="flags_command", metavar="COMMAND", required=True)
    serve = commands.add_parser(
        "serve",
        help="watch the policies and answer",
        description="Serves OFREP (HTTP) and flagd's sync protocol (gRPC) on the address in POD_IP, 127.0.0.1 without one. "
        "Reads the cluster by KUBECONFIG, or as a pod; without the API server it serves what the snapshot has.",
    )
    serve.add_argument("--http-port", type=int, default=8080, metavar="PORT", help="OFREP, health and metrics (8080)")
    serve.add_argument("--grpc-port", type=int, default=8015, metavar="PORT", help="flagd sync (8015)")
    serve.add_argument("--snapshot-dir", type=Path, metavar="DIR", help="where the last known objects are kept")
    serve.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        help="serve this one; repeat it for more (default: all)",
    )
    serve.add_argument(
        "--believe-empty-after",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long the API server must say that there is not one policy (or tier) left before it is believed (600)",
    )
    serve.add_argument(
        "--quota-storage",
        default=os.environ.get("QUOTA_STORAGE_URL", "memory://"),
        metavar="URL",
        help="where the use of quotas is counted: redis://HOST:PORT/0, rediss://, redis+sentinel://, redis+cluster://, the same "
        "with valkey, or memory:// for this process alone (default: $QUOTA_STORAGE_URL, or memory://). Put a password "
        "into the variable: arguments can be read by others",
    )
    serve.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    serve.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal.

    Returns 1 where a port or the snapshot's folder cannot be had, 2 where no cluster is named or the storage's URL is none.
    """
    from brownout.flags.log import log_json_lines
    from brownout.flags.quota.storage import StorageUrlError
    from brownout.flags.server import Settings, serve

    if not os.environ.get("KUBECONFIG") and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        print("brownout flags serve: no cluster is named; set KUBECONFIG, or run it as a pod", file=sys.stderr)
        return 2
    log_json_lines(arguments.log_level)
    settings = Settings(
        host=os.environ.get("POD_IP") or "127.0.0.1",
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        namespaces=tuple(arguments.namespace),
        snapshot_dir=arguments.snapshot_dir,
        kubeconfig=os.environ.get("KUBECONFIG"),
        empty_believed_after=arguments.believe_empty_after,
        quota_storage=arguments.quota_storage,
    )
    try:
        asyncio.run(serve(settings))
    except StorageUrlError as error:
        print(f"brownout flags serve: --quota-storage: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"brownout flags serve: {error}", file=sys.stderr)
        return 1
    return 0
