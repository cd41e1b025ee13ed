"""Writes the chart's values.schema.json and README.md from its commented values.yaml: `python scripts/chart_reference.py [--check]`.

The comment above a key is its description. A line `# @schema {...}` in it, in YAML's flow style, is merged into what the default
value says of the type; an empty list needs one, because nothing else says of what it is. Maps refuse keys that they do not have, so that a
typing error ends an installation instead of being ignored; an empty map takes any. `--check` writes nothing and fails if a file is stale.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[1] / "charts" / "brownout"
PROSE = Path(__file__).with_name("chart_readme.md")
MARK = "# @schema "
FOREIGN = {"global": {"type": "object", "description": "Helm hands it to subcharts; nothing here reads it."}}

NAMED = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SHAPES = {
    "object": {"type": "object"},  # a part of a Kubernetes object; the API server knows what belongs in it
    "named": NAMED,
    "disruption": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^([1-9][0-9]?|100)%$"}]},
    "scaleTarget": {
        "type": "object",
        "properties": {"apiGroups": TEXTS, "resources": TEXTS},
        "required": ["apiGroups", "resources"],
        "additionalProperties": False,
    },
}

Schema = dict[str, Any]


class Entry:
    """A key of values.yaml: where it is, what it is by default, what is said of it, and what is in it."""

    def __init__(self, path: tuple[str, ...], node: yaml.Node, comment: list[str]) -> None:
        self.path = path
        self.default = _value(node)
        self.words = " ".join(line.removeprefix("#").strip() for line in comment if not line.startswith(MARK))
        self.said: Schema = {}
        for line in comment:
            if line.startswith(MARK):
                self.said |= yaml.safe_load(line.removeprefix(MARK))
        self.inner: list[Entry] = []

    @property
    def schema(self) -> Schema:
        """What values are taken here. Raises ValueError where neither the default nor the comment says it."""
        schema: Schema = {"description": self.words} if self.words else {}
        if "$ref" in self.said:
            return schema | self.said
        if self.inner:
            return schema | _closed(self.inner) | self.said
        return schema | self._type() | self.said

    def _type(self) -> Schema:
        match self.default:
            case bool():
                return {"type": "boolean"}
            case int():
                return {"type": "integer", "minimum": 0}
            case float():
                return {"type": "number", "minimum": 0}
            case str():
                return {"type": "string"}
            case list() if "items" in self.said:
                return {"type": "array"}
            case dict():
                return {"type": "object"}
            case None if "type" in self.said:
                return {}
        raise ValueError(f"values.yaml: {'.'.join(self.path)}: its type is not plain; add a line `{MARK}{{...}}`")


def entries(text: str) -> list[Entry]:
    """The keys of values.yaml, in order. Raises ValueError for one that nothing is said of."""
    lines = text.splitlines()

    def read(node: yaml.MappingNode, path: tuple[str, ...]) -> list[Entry]:
        found = []
        for key, value in node.value:
            entry = Entry((*path, key.value), value, _above(lines, key.start_mark.line))
            opened = isinstance(value, yaml.MappingNode) and value.value and "$ref" not in entry.said
            if opened and "additionalProperties" not in entry.said:
                entry.inner = read(value, entry.path)
            if not entry.words and not entry.inner:
                raise ValueError(f"values.yaml: {'.'.join(entry.path)}: nothing is said of it; write a comment above")
            found.append(entry)
        return found

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return read(root, ())


def schema_text(found: list[Entry]) -> str:
    """values.schema.json. A workload of inference is what its defaults are, with a name of its own."""
    workload = _closed(next(entry for entry in found if entry.path == ("inference",)).inner[-1].inner)
    name = {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", "description": "Of all its objects."}
    workload["properties"] = {"name": name} | workload["properties"]
    whole = _closed(found)
    whole["properties"] |= FOREIGN
    return (
        json.dumps(
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "$comment": "Generated from values.yaml by `make generate`.",
                "title": "Values of the chart brownout",
                **whole,
                "$defs": SHAPES | {"workload": workload | {"required": ["name"]}},
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


def readme_text(found: list[Entry], prose: str) -> str:
    """README.md: the prose, with a table for each key of the first level in place of `{values}`."""
    parts = []
    for entry in found:
        rows = list(_rows(entry))
        parts.append(f"### `{entry.path[0]}`\n")
        if entry.words and entry.inner:
            parts.append(f"{entry.words}\n")
        parts += ["| key | default | |", "|---|---|---|", *rows, ""]
    return prose.replace("{values}\n", "\n".join(parts))


def _rows(entry: Entry) -> list[str]:
    if not entry.inner:
        return [f"| `{'.'.join(entry.path)}` | {_shown(entry.default)} | {entry.words.replace('|', chr(92) + '|')} |"]
    rows = []
    if entry.words and len(entry.path) > 1:
        rows.append(f"| `{'.'.join(entry.path)}` | | {entry.words} |")
    return rows + [row for inner in entry.inner for row in _rows(inner)]


def _shown(default: Any) -> str:
    written = json.dumps(default, ensure_ascii=False)
    return f"`{written}`" if default not in ("", None) else ""


def _closed(inner: list[Entry]) -> Schema:
    properties = {entry.path[-1]: entry.schema for entry in inner}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _above(lines: list[str], line: int) -> list[str]:
    """The comment that ends right above a line, of the same indentation."""
    indent = len(lines[line]) - len(lines[line].lstrip())
    found: list[str] = []
    while line > 0 and lines[line - 1].startswith(" " * indent + "#"):
        line -= 1
        found.insert(0, lines[line].strip())
    return found


def _value(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)  # type: ignore[no-untyped-call]
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


def main() -> int:
    """Write the files, or with `--check` name those that are stale."""
    parser = argparse.ArgumentParser(description="Write the chart's schema and README from its values.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    check: bool = parser.parse_args().check
    try:
        found = entries((CHART / "values.yaml").read_text())
        wanted = {
            CHART / "values.schema.json": schema_text(found),
            CHART / "README.md": readme_text(found, PROSE.read_text()),
        }
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    names = ", ".join(str(path.relative_to(CHART.parents[1])) for path in stale)
    if check and stale:
        print(f"stale: {names}; run `make generate` and commit what it writes", file=sys.stderr)
        return 1
    for path in stale:
        path.write_text(wanted[path])
    print(f"wrote {names}" if stale else "up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
