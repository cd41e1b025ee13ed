"""`brownout operator`: the control loop."""

import argparse
import asyncio
import logging
import os
import re
import socket
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

from brownout import logs
from brownout.cli.options import add_log_options
from brownout.run.election.elector import LeaseLostError
from brownout.run.election.rules import Terms, TermsError
from brownout.run.leading import Election
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
        help="the operator's own, where Secrets are read and the Lease is (default: $POD_NAMESPACE, or brownout-system)",
    )
    parser.add_argument(
        "--watch-namespaces",
        nargs="+",
        default=[],
        metavar="NS",
        help="watch policies and workloads in these only; GPUs are still counted everywhere (default: all)",
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
    _add_election(parser)
    add_log_options(parser)
    parser.set_defaults(run=_run)


def _add_election(parser: argparse.ArgumentParser) -> None:
    terms = Terms()
    parser.add_argument(
        "--leader-elect",
        action="store_true",
        help="campaign for a Lease, and decide and write only while it is held; for more than one operator (default: no)",
    )
    parser.add_argument(
        "--leader-elect-lease-name",
        type=_lease_name,
        default="brownout-operator",
        metavar="NAME",
        help="the Lease, in the operator's own namespace (default: brownout-operator)",
    )
    parser.add_argument(
        "--leader-elect-lease-seconds",
        type=int,
        default=terms.lease_seconds,
        metavar="S",
        help=f"how long others wait after the last renewal that they saw (default: {terms.lease_seconds})",
    )
    parser.add_argument(
        "--leader-elect-renew-deadline-seconds",
        type=float,
        default=terms.renew_deadline_seconds,
        metavar="S",
        help=f"without a renewal for so long the holder ends (default: {terms.renew_deadline_seconds:g})",
    )
    parser.add_argument(
        "--leader-elect-retry-seconds",
        type=float,
        default=terms.retry_seconds,
        metavar="S",
        help=f"how often it is renewed, and asked for (default: {terms.retry_seconds:g})",
    )


def _election(arguments: argparse.Namespace, instance: str) -> Election | None:
    """What was asked for; raises TermsError where the durations do not go together."""
    if not arguments.leader_elect:
        return None
    terms = Terms(
        lease_seconds=arguments.leader_elect_lease_seconds,
        renew_deadline_seconds=arguments.leader_elect_renew_deadline_seconds,
        retry_seconds=arguments.leader_elect_retry_seconds,
    )
    terms.check()
    return Election(
        lease=arguments.leader_elect_lease_name,
        namespace=arguments.namespace,
        identity=f"{instance}_{uuid4()}",  # another one for each process: a container that is restarted keeps its pod's name
        terms=terms,
    )


def _object_name(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text} is no name of an object; write lower case, digits and dashes")
    return text


def _lease_name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("a Lease has a name; write one, such as brownout-operator")
    return _object_name(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 60 seconds")
    return value


def _run(arguments: argparse.Namespace) -> int:
    instance = os.environ.get("POD_NAME") or socket.gethostname()
    try:
        election = _election(arguments, instance)
    except TermsError as error:
        print(f"brownout operator: --leader-elect: {error}", file=sys.stderr)
        return 2
    logs.configure(arguments.log_level, arguments.log_format)
    options = Options(
        prometheus_url=arguments.prometheus_url,
        namespace=arguments.namespace,
        instance=instance,
        http_host=arguments.http_host,
        http_port=arguments.http_port,
        tick_seconds=arguments.tick_seconds,
        watch_namespaces=tuple(arguments.watch_namespaces),
        feature_flag=arguments.feature_flag,
        election=election,
    )
    try:
        asyncio.run(run(options))
    except StartError as error:
        print(f"brownout operator: {error}", file=sys.stderr)
        return 2
    except LeaseLostError as error:
        log.critical("ending, because this operator leads no more: %s; start it again, and it stands by", error)
        return 1
    except Exception:
        log.critical("ending, because going on would mean not seeing changes; start it again", exc_info=True)
        return 1
    return 0
