"""What `brownout flags serve` allows to one connection, and to all of them."""

import argparse
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brownout.flags.connection import Limits


def add_limits(serve: argparse.ArgumentParser) -> None:
    """The options; their defaults are those of `Limits`, said here so that help needs no import."""
    group = serve.add_argument_group("connections")
    group.add_argument(
        "--most-connections",
        type=_count,
        default=4096,
        metavar="N",
        help="open connections at most, streams of events apart (4096); beyond it those go first that have waited longest for a request",
    )
    group.add_argument(
        "--most-connections-per-address",
        type=_count,
        default=0,
        metavar="N",
        help="connections of one address at most, streams included, an IPv6 address being its first 64 bits (0: any number, "
        "as it has to be behind a gateway, whose address all have)",
    )
    for name, seconds, what in (
        ("head", 10.0, "the head of a request may take to come"),
        ("body", 10.0, "the body of a request may take to come"),
        ("idle", 75.0, "a connection stays open without a request; longer than a gateway in front keeps it"),
        ("unread", 30.0, "an answer may take to be read"),
    ):
        group.add_argument(
            f"--{name}-timeout",
            type=_seconds,
            default=seconds,
            metavar="SECONDS",
            help=f"how long {what} ({seconds:g})",
        )
    group.add_argument(
        "--most-head-bytes",
        type=_count,
        default=32 * 1024,
        metavar="BYTES",
        help="how large the request line and headers may be together (32768); one of them has 8190 at most",
    )


def limits_of(arguments: argparse.Namespace) -> "Limits":
    """What the command line allows. Raises ValueError where nobody could be served."""
    from brownout.flags.connection import Limits

    for option, number in (
        ("--most-connections", arguments.most_connections),
        ("--most-head-bytes", arguments.most_head_bytes),
    ):
        if number < 1:
            raise ValueError(f"{option}: 0 would let nobody in; write a number above it")
    return Limits(
        most=arguments.most_connections,
        most_per_address=arguments.most_connections_per_address,
        head_seconds=arguments.head_timeout,
        head_bytes=arguments.most_head_bytes,
        body_seconds=arguments.body_timeout,
        idle_seconds=arguments.idle_timeout,
        unread_seconds=arguments.unread_timeout,
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number; write one from 0 up")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds above 0, such as 10")
    return seconds
