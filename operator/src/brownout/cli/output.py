"""Values as JSON or YAML, for scripts: the same fields in the same order in both."""

from typing import Any

import msgspec


def document(value: Any, format: str) -> str:  # noqa: A002  kubectl's own word
    """A struct, list or map in a format of `-o`: json or yaml. Without a newline at its end."""
    plain = msgspec.to_builtins(value)
    if format == "json":
        return msgspec.json.format(msgspec.json.encode(plain), indent=4).decode()
    import yaml

    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120).rstrip("\n")
