"""What an explanation says: which rule decided, on what numbers, since when, what has to happen, and when it is expected."""

from msgspec import Struct


class Need(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that has to be so. `met` is None where status does not tell; `found` says how it is now, `at` when it will be."""

    what: str
    met: bool | None = None
    found: str = ""
    at: str = ""


class Explanation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One object or cell. Times are RFC 3339, as in status; what is not known is empty.

    `has`: how it is now. `rule`: a reason of `brownout.api.reasons`, `because`: its sentence. `goal`: what `needs` are for.
    `troubles`: conditions that somebody has to look at. `parts`: what it is made of, or what it led to.
    """

    subject: str
    has: str
    rule: str = ""
    because: str = ""
    since: str = ""
    numbers: dict[str, str] = {}
    goal: str = ""
    needs: tuple[Need, ...] = ()
    expected: str = ""
    history: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    parts: tuple["Explanation", ...] = ()
