"""`brownout validate`: manifests checked offline, before anything is asked of a cluster."""

import argparse
import sys
from typing import TYPE_CHECKING

from brownout.cli.failure import failed
from brownout.cli.options import A_MANIFEST, add_files_option, add_output_option
from brownout.cli.validation.check import check
from brownout.cli.validation.manifests import Manifest, UnreadableError, read, texts

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers


def register(subparsers: "Subparsers") -> None:
    """Add `validate`."""
    parser = subparsers.add_parser(
        "validate",
        help="check manifests offline, more strictly than the API server does",
        description="Checks fields, bounds, rules and references of Brownout's objects, and looks for what is hardly meant: tiers "
        "that nobody reaches, ladders that save nothing; a warning names its reason. Other objects are skipped. Asks no cluster. "
        "Exit codes: 0 nothing wrong (warnings aside), 1 errors, 2 nothing could be checked.",
    )
    add_files_option(parser, reads=A_MANIFEST, required=True)
    parser.add_argument(
        "-n", "--namespace", default="default", help="of objects that name none themselves (default: default)"
    )
    parser.add_argument("--strict", action="store_true", help="a warning is as bad as an error")
    add_output_option(parser, "json", "yaml")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what is wrong, a line each, to standard error, and a summary; return the exit code."""
    manifests: list[Manifest] = []
    unreadable = 0
    try:
        for name, text in texts(arguments.filename):
            try:
                manifests += read(name, text)
            except UnreadableError as error:
                print(error, file=sys.stderr)
                unreadable += 1
    except (OSError, UnicodeDecodeError) as error:
        raise failed(str(error), exit_code=2) from None
    checked = check(manifests, namespace=arguments.namespace)
    if not checked.objects and not unreadable:
        raise failed("there is no object of brownout.dev in these files", exit_code=2)
    errors, warnings = unreadable + checked.errors, len(checked.findings) - checked.errors
    if arguments.output:
        from brownout.cli.output import document

        print(document([finding.fields for finding in checked.findings], arguments.output))
    else:
        for finding in checked.findings:
            print(finding, file=sys.stderr)
        print(f"{checked.objects} objects: {errors} errors, {warnings} warnings")
    return 1 if errors or (warnings and arguments.strict) else 0
