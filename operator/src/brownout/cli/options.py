"""Options that several commands share, under the names that kubectl gives them."""

import argparse
import os
import textwrap
from pathlib import Path
from typing import NamedTuple

from brownout.cli.failure import failed


class Help(argparse.RawDescriptionHelpFormatter):
    """Fills a description, and leaves examples as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return super()._fill_text(text, width, indent) if "\n" in text else textwrap.fill(text, width)


class Where(NamedTuple):
    """Which API server: a kubeconfig and a context of it. None: what kubectl would take."""

    kubeconfig: str | None = None
    context: str | None = None


class Scope(NamedTuple):
    """Which namespaces: one, all of them, or, where neither is said, what the context says."""

    namespace: str | None = None
    everywhere: bool = False

    def wide(self, of_context: str) -> str | None:
        """For what is looked over: None is all namespaces, also where the context names none."""
        return None if self.everywhere else (self.namespace or of_context or None)

    def one(self, of_context: str) -> str:
        """For what is looked up by name: as kubectl does, `default` where nobody names a namespace."""
        return self.namespace or of_context or "default"


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """--kubeconfig and --context."""
    group = parser.add_argument_group("cluster")
    group.add_argument(
        "--kubeconfig", metavar="FILE", help="how to reach the cluster (default: $KUBECONFIG, or ~/.kube/config)"
    )
    group.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """--log-level and --log-format, of what runs for long."""
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    parser.add_argument(
        "--log-format",
        choices=("auto", "json", "text"),
        default="auto",
        help="a JSON object a line, or a line for people; auto: the latter on a terminal alone (default: auto)",
    )


def add_namespace_option(parser: argparse.ArgumentParser) -> None:
    """-n, for what is in one namespace."""
    parser.add_argument("-n", "--namespace", metavar="NS", help="whose (default: the context's, or else `default`)")


def add_namespace_options(parser: argparse.ArgumentParser) -> None:
    """-n and -A, for what is looked over."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-n", "--namespace", metavar="NS", help="of one product (default: the context's, or all where it names none)"
    )
    group.add_argument("-A", "--all-namespaces", action="store_true", help="of all products")


A_MANIFEST = "a manifest, a folder of them, or - for standard input; repeat it for more"


def add_files_option(parser: argparse.ArgumentParser, *, reads: str, required: bool = False) -> None:
    """-f, more than once; `reads` says what for."""
    parser.add_argument("-f", "--filename", action="append", required=required, metavar="FILE|DIR", help=reads)


def add_output_option(parser: argparse.ArgumentParser, *formats: str) -> None:
    """-o, with the formats that a command knows."""
    parser.add_argument("-o", "--output", choices=formats, metavar="|".join(formats), help="print in this format")


def where(arguments: argparse.Namespace) -> Where:
    """Which API server is meant."""
    return Where(arguments.kubeconfig, arguments.context)


def scope(arguments: argparse.Namespace) -> Scope:
    """Which namespaces are meant."""
    return Scope(arguments.namespace, getattr(arguments, "all_namespaces", False))


def must_exist(where: Where) -> None:
    """Refuse a kubeconfig that is not there: the client would only miss a field in it. KUBECONFIG may name several, of which one suffices.

    Raises CommandError.
    """
    if where.kubeconfig is not None:
        if not Path(where.kubeconfig).exists():
            raise failed(f"--kubeconfig: {where.kubeconfig}: no such file")
        return
    named = os.environ.get("KUBECONFIG", "")
    if named and not any(Path(one).exists() for one in named.split(os.pathsep) if one):
        raise failed(f"KUBECONFIG: {named}: no such file; name one that exists, or write --kubeconfig")


def is_named(where: Where) -> bool:
    """Whether anything says which cluster is meant, as kubectl would look for it."""
    variables = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")
    return bool(where.kubeconfig or any(map(os.environ.get, variables)) or Path("~/.kube/config").expanduser().exists())
