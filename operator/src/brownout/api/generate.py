"""Writes the CustomResourceDefinitions from the typed resources: `python -m brownout.api.generate [--check]`.

They are checked in, because people install and read them, and written twice: in `crds/` for kubectl and GitOps, and in the
chart, which cannot reach outside its own folder. `--check` writes nothing and fails if a file is not what it should be.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from brownout.api.openapi import Schema, schema_of
from brownout.api.resources import RESOURCES
from brownout.api.schema import GROUP, VERSION, Column, Resource

FOLDERS = ("crds", "charts/brownout/files/crds")
HEADER = "# Generated from brownout.api by `make generate`; change the structs there, not this file.\n"


def definition(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind, as an object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.singular,
                "shortNames": list(resource.short_names),
                "categories": ["brownout"],
            },
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in resource.columns],
                    "schema": {"openAPIV3Schema": _root(resource)},
                }
            ],
        },
    }


def _root(resource: Resource) -> Schema:
    return {
        "description": resource.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": schema_of(resource.spec),
            "status": schema_of(resource.status, status=True),
        },
    }


def _column(column: Column) -> Schema:
    written: Schema = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    if column.description:
        written["description"] = column.description
    if column.priority:
        written["priority"] = column.priority
    return written


class _Plain(yaml.SafeDumper):
    """YAML that a person reads: lists indented below their key, and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def text(resource: Resource) -> str:
    """The file of one kind. The same structs always give the same bytes."""
    body = yaml.dump(definition(resource), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
    return HEADER + str(body)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` name those that are stale. Paths are relative to the repository's root."""
    parser = argparse.ArgumentParser(
        prog="python -m brownout.api.generate", description="Write crds/ from brownout.api."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    check: bool = parser.parse_args(argv).check
    stale = []
    for path, wanted in ((f"{folder}/{r.plural}.yaml", text(r)) for folder in FOLDERS for r in RESOURCES):
        if _read(path) == wanted:
            continue
        stale.append(path)
        if not check:
            with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 (brownout.api may not import pathlib)
                file.write(wanted)
    if check and stale:
        print(f"stale: {', '.join(stale)}; run `make generate` and commit what it writes", file=sys.stderr)
        return 1
    print(f"{'up to date' if not stale else 'wrote ' + ', '.join(stale)}")
    return 0


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (as above)
            return file.read()
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
