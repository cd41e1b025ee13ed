"""`brownout operator`: the control loop."""

import argparse
import asyncio
import logging
import os
import re
import socket
import sys
from typing import TYPE_CHECKING

from brownout import logs
from brownout.cli.options import add_log_options
from brownout.run.operator import Options, StartError, run

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

log = logging.getLogger(__name__)


def register(subparsers: "Subparsers") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("operator", help="decide, scale and shed: the control loop")
    parser.add_argument(
        "--prometheus-url",
        default=os.environ.get("PROMETHEUS_URL", ""),
        metavar="URL",
        help="asked where a pool names no Prometheus of its own (default: $PROMETHEUS_URL)",
    )
    parser.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE", "brownout-system"),
        help="the operator's own, where Secrets are read (default: $POD_NAMESPACE, or brownout-system)",
    )
    parser.add_argument(
        "--watch-namespaces",
        nargs="+",
        default=[],
        metavar="NS",
        help="act on objects in these only; GPUs are still counted everywhere (default: all)",
    )
    parser.add_argument(
        "--tick-seconds",
        type=_seconds,
        default=2.0,
        metavar="S",
        help="the longest time between two looks (default: 2)",
    )
    parser.add_argument(
        "--http-host",
        default=os.environ.get("POD_IP", "127.0.0.1"),
        metavar="IP",
        help="where /livez, /readyz and /metrics listen (default: $POD_IP, or 127.0.0.1)",
    )
    parser.add_argument("--http-port", type=int, default=8080, metavar="PORT", help="their port (default: 8080)")
    parser.add_argument(
        "--feature-flag",
        type=_object_name,
        default="",
        metavar="NAME",
        help="also write the flags of each namespace as an OpenFeature FeatureFlag resource of this name (default: none)",
    )
    add_log_options(parser)
    parser.set_defaults(run=_run)


def _object_name(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text} is no name of an object; write lower case, digits and dashes")
    return text


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 60 seconds")
    return value


def _run(arguments: argparse.Namespace) -> int:
    logs.configure(arguments.log_level, arguments.log_format)
    options = Options(
        prometheus_url=arguments.prometheus_url,
        namespace=arguments.namespace,
        instance=os.environ.get("POD_NAME", socket.gethostname()),
        http_host=arguments.http_host,
        http_port=arguments.http_port,
        tick_seconds=arguments.tick_seconds,
        watch_namespaces=tuple(arguments.watch_namespaces),
        feature_flag=arguments.feature_flag,
    )
    try:
        asyncio.run(run(options))
    except StartError as error:
        print(f"brownout operator: {error}", file=sys.stderr)
        return 2
    except Exception:
        log.critical("ending, because going on would mean not seeing changes; start it again", exc_info=True)
        return 1
    return 0
