"""Figures as people read them: what is not known is never shown as 0."""

UNKNOWN = "unknown"
NONE = "-"


def percent(value: float | None) -> str:
    """A percentage, or that it is not known."""
    return UNKNOWN if value is None else f"{value:.0f} %"


def figure(value: int | str | None) -> str:
    """A number as it is; - where there is none."""
    return NONE if value in (None, "") else str(value)


def counted(value: int | None) -> str:
    """A number within a sentence."""
    return UNKNOWN if value is None else str(value)
