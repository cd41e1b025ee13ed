"""Names that strangers write into a path, as an answer may repeat them: short, whatever they wrote."""

LONGEST_NAMESPACE = 63
"""Of a namespace's name in Kubernetes (RFC 1123, a DNS label)."""

LONGEST_KEY = 100
"""Of a flag's key in a policy (`api.schema.FlagKey`)."""


def shown(name: str, longest: int = LONGEST_NAMESPACE) -> str:
    """A name that a sentence or an answer can carry: as it is, or its beginning. At most `longest` characters and one."""
    return name if len(name) <= longest else f"{name[:longest]}…"
