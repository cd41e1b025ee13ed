"""`brownout flags serve`: the data plane as a process."""

import argparse
import asyncio
import errno
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from brownout import logs
from brownout.cli import flags_options
from brownout.cli.flags_limits import add_limits, limits_of
from brownout.cli.flags_options import HIGHEST_PORT, LONGEST_SPREAD_SECONDS, MOST_STREAMS
from brownout.cli.options import Where, add_cluster_options, add_log_options, is_named, must_exist, where

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

    from brownout.cli.main import Subparsers
    from brownout.flags.settings import Settings
    from brownout.flags.watch import Login


def register(subparsers: "Subparsers") -> None:
    """Add `flags` and what can be done with them."""
    flags = subparsers.add_parser("flags", help="serve the flags: OFREP, flagd sync, pages")
    commands = flags.add_subparsers(dest="flags_command", metavar="COMMAND", required=True)
    serve = commands.add_parser(
        "serve",
        help="watch the policies and answer",
        description="Serves OFREP (HTTP) and flagd's sync protocol (gRPC) on the address in POD_IP, 127.0.0.1 without one. "
        "Reads the cluster by --kubeconfig, KUBECONFIG, a pod's service account, or ~/.kube/config; without the API server it "
        "serves what the snapshot has.",
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
    serve.add_argument(
        "--public-url",
        default="",
        metavar="URL",
        help="where clients reach this server, path prefix included, if a gateway rewrites paths; for the streams of events",
    )
    serve.add_argument(
        "--notice-spread",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="within what time everybody is told of a change by which nobody has less (10); who has less is told at once",
    )
    serve.add_argument(
        "--most-event-streams", type=int, default=20_000, metavar="N", help="open streams of events at most (20000)"
    )
    _pages(serve)
    _callers(serve)
    add_limits(serve)
    add_cluster_options(serve)
    add_log_options(serve)
    serve.set_defaults(run=run)


def _pages(serve: argparse.ArgumentParser) -> None:
    """What people may look at."""
    group = serve.add_argument_group("pages")
    group.add_argument(
        "--no-status-page",
        dest="status_page",
        action="store_false",
        help="no page for users at /NAMESPACE/status",
    )
    group.add_argument(
        "--console-port",
        type=int,
        metavar="PORT",
        help="show operators what happens, on a listener of its own (default: no console)",
    )
    group.add_argument(
        "--console-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where the console listens; nobody signs in to it, so that others than loopback belong behind a proxy that asks (127.0.0.1)",
    )
    group.add_argument(
        "--console-host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which the console may be asked, besides those of loopback; repeat it for more",
    )


def _callers(serve: argparse.ArgumentParser) -> None:
    """Who may call, and whose word about a user counts."""
    group = serve.add_argument_group("callers")
    group.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="pages of this origin may read answers, such as https://app.example.com; repeat it, or write * for all",
    )
    group.add_argument(
        "--public",
        action="store_true",
        help="a public listener: attributes of users count from verified tokens alone, or from who shows an API key",
    )
    group.add_argument(
        "--require-credentials", action="store_true", help="refuse who shows neither a token nor an API key"
    )
    group.add_argument(
        "--api-keys",
        type=Path,
        metavar="FILE",
        help="API keys of gateways and servers, one a line, each with the namespaces that it is for, or none for all",
    )
    group.add_argument(
        "--jwt-jwks", metavar="URL|FILE", help="the public keys of the issuer of tokens (JSON Web Key Set)"
    )
    group.add_argument("--jwt-issuer", default="", metavar="ISS", help="whose tokens count (claim iss)")
    group.add_argument(
        "--jwt-audience",
        action="append",
        default=[],
        metavar="AUD",
        help="for whom they have to be (claim aud); repeat it",
    )
    group.add_argument(
        "--jwt-algorithm",
        action="append",
        default=[],
        metavar="ALG",
        help="an allowed algorithm (default: RS256, ES256, EdDSA); repeat it",
    )
    group.add_argument(
        "--jwt-leeway", type=float, default=30.0, metavar="SECONDS", help="how far clocks may differ (30)"
    )
    group.add_argument(
        "--jwt-refresh", type=float, default=300.0, metavar="SECONDS", help="how often the keys are read again (300)"
    )
    group.add_argument(
        "--jwt-context-claim",
        default="",
        metavar="CLAIM",
        help="the claim that holds the attributes (default: every claim is one, and sub the targetingKey)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal.

    Returns 1 where a port, the snapshot's folder or a file of keys cannot be had, 2 where no cluster is named or settings are wrong.
    Raises CommandError where the kubeconfig that is named is not there.
    """
    from brownout.flags.jwks import UnreadableKeysError
    from brownout.flags.quota.storage import StorageUrlError
    from brownout.flags.server import serve

    try:
        settings = settings_of(arguments)
    except ValueError as error:
        print(f"brownout flags serve: {error}", file=sys.stderr)
        return 2
    cluster = where(arguments)
    must_exist(cluster)
    if not is_named(cluster):
        sentence = "no cluster is named; write --kubeconfig, set KUBECONFIG, make ~/.kube/config, or run it as a pod"
        print(f"brownout flags serve: {sentence}", file=sys.stderr)
        return 2
    logs.configure(arguments.log_level, arguments.log_format)
    try:
        asyncio.run(serve(settings, _login(cluster)))
    except StorageUrlError as error:
        print(f"brownout flags serve: --quota-storage: {error}", file=sys.stderr)
        return 2
    except UnreadableKeysError as error:
        print(f"brownout flags serve: --jwt-jwks: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"brownout flags serve: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def _login(cluster: Where) -> "Login":
    """Makes clients of the cluster.

    The client's library takes longer to import than everything else here together. It is imported when it is needed and in a
    thread, so that a server that has a snapshot answers meanwhile.
    """

    async def login() -> "ApiClient":
        credentials = await asyncio.to_thread(importlib.import_module, "brownout.run.credentials")
        client: ApiClient = await credentials.client(cluster.kubeconfig, cluster.context)
        return client

    return login


def _sentence(error: OSError) -> str:
    """What could not be had, and by which option something else is named."""
    if error.errno == errno.EADDRINUSE:
        return f"{error.strerror}; name a free one by --http-port"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def settings_of(arguments: argparse.Namespace) -> "Settings":
    """What the command line says. Raises ValueError where that cannot be."""
    from brownout.flags.callers import CallerSettings
    from brownout.flags.cors import checked
    from brownout.flags.settings import Settings
    from brownout.flags.tokens import TokenSettings

    if arguments.jwt_jwks and not (arguments.jwt_issuer and arguments.jwt_audience):
        missing = "--jwt-audience" if arguments.jwt_issuer else "--jwt-issuer"
        raise ValueError(
            f"{missing}: is needed beside --jwt-jwks, for a token may be meant for somebody else; name yours"
        )
    tokens = None
    if arguments.jwt_jwks:
        tokens = TokenSettings(
            jwks=arguments.jwt_jwks,
            issuer=arguments.jwt_issuer,
            audience=tuple(arguments.jwt_audience),
            leeway_seconds=arguments.jwt_leeway,
            refresh_seconds=arguments.jwt_refresh,
            context_claim=arguments.jwt_context_claim,
            **({"algorithms": tuple(arguments.jwt_algorithm)} if arguments.jwt_algorithm else {}),
        )
    elif arguments.jwt_issuer or arguments.jwt_audience:
        raise ValueError("--jwt-issuer and --jwt-audience: name the issuer's keys too, by --jwt-jwks")
    if arguments.require_credentials and not (tokens or arguments.api_keys):
        raise ValueError("--require-credentials: say which count, by --api-keys or --jwt-jwks")
    return Settings(
        host=os.environ.get("POD_IP") or "127.0.0.1",
        http_port=flags_options.count("--http-port", arguments.http_port, least=0, most=HIGHEST_PORT),
        grpc_port=flags_options.count("--grpc-port", arguments.grpc_port, least=0, most=HIGHEST_PORT),
        namespaces=flags_options.namespaces(arguments.namespace),
        snapshot_dir=arguments.snapshot_dir,
        empty_believed_after=flags_options.seconds("--believe-empty-after", arguments.believe_empty_after),
        quota_storage=arguments.quota_storage,
        limits=limits_of(arguments),
        public_url=flags_options.public_url(arguments.public_url),
        notice_spread_seconds=flags_options.seconds(
            "--notice-spread", arguments.notice_spread, most=LONGEST_SPREAD_SECONDS
        ),
        most_event_streams=flags_options.count(
            "--most-event-streams", arguments.most_event_streams, least=0, most=MOST_STREAMS
        ),
        status_page=arguments.status_page,
        console_host=arguments.console_host,
        console_port=arguments.console_port,
        console_host_names=tuple(arguments.console_host_name),
        cors_origins=checked(arguments.cors_origin),
        callers=CallerSettings(
            trust_context=not arguments.public,
            required=arguments.require_credentials,
            api_keys_file=arguments.api_keys,
            tokens=tokens,
        ),
    )
