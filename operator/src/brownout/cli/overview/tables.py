"""The overview as tables of text: what is printed where nobody's terminal is, and what the live one shows."""

from collections.abc import Iterator
from typing import NamedTuple

from brownout.cli.figures import figure, percent
from brownout.cli.overview.model import FeatureRow, OverrideRow, Overview, PoolRow, ScalerRow

WORDS = frozenset({"WHY", "NEXT TO GO", "LAST TAKEN", "NOT BACK YET", "REASON GIVEN"})
"""Columns of sentences: where a terminal is narrow they are the ones that break."""


class Table(NamedTuple):
    """Heads and rows of as many cells."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(seen: Overview, *, wide: bool = False) -> list[Table]:
    """Pools, features, overrides, scalers; none of what there is none. `wide` adds columns."""
    return [
        table
        for table in (
            _table(
                ("POOL", "GPUS", "GRANTED", "FREE", "SATURATION", "LADDER", "NEXT TO GO"),
                ("HELD", "LAST TAKEN"),
                [(_pool(row), (figure(row.held), row.last)) for row in seen.pools],
                wide,
            ),
            _table(
                ("FEATURE", "FOR", "HAS", "REASON", "SINCE", "WHY"),
                ("NOT BACK YET",),
                [
                    (_feature(row), (f"{row.refused_by}: {row.refusal}" if row.refused_by else "",))
                    for row in seen.features
                ],
                wide,
            ),
            _table(
                ("OVERRIDE", "FEATURE", "FOR", "VARIANT", "ENDS"),
                ("STATE", "REASON GIVEN"),
                [(_override(row), (row.state, row.reason)) for row in seen.overrides],
                wide,
            ),
            _table(
                ("SCALER", "READY", "COMING", "DESIRED", "DEMANDED", "SATURATION", "WHY"),
                ("LIMITED BY", "OFFERED", "ADMITTED", "CAPACITY"),
                [
                    (_scaler(row), (row.limited_by, *map(figure, (row.offered, row.admitted, row.capacity))))
                    for row in seen.scalers
                ],
                wide,
            ),
        )
        if table.rows
    ]


def page(seen: Overview, *, wide: bool = False) -> str:
    """All tables, and a line for each trouble. Empty where there is nothing."""
    parts = [_text(table) for table in tables(seen, wide=wide)]
    return "\n\n".join(part for part in (*parts, "\n".join(seen.troubles)) if part)


def _table(
    heads: tuple[str, ...],
    more: tuple[str, ...],
    rows: list[tuple[tuple[str, ...], tuple[str, ...]]],
    wide: bool,
) -> Table:
    if not wide:
        return Table(heads, tuple(row for row, _ in rows))
    return Table(heads + more, tuple(row + extra for row, extra in rows))


def _pool(row: PoolRow) -> tuple[str, ...]:
    counts = (row.gpus, row.granted, row.free)
    unseen = (
        f", {row.saturation_unknown} unknown" if row.saturation_percent is not None and row.saturation_unknown else ""
    )
    return (row.name, *map(figure, counts), percent(row.saturation_percent) + unseen, figure(row.position), row.next)


def _feature(row: FeatureRow) -> tuple[str, ...]:
    name = f"{row.namespace}/{row.feature}"
    if not row.tier:
        return (name, "everybody it is for", row.has, "", "", "") if row.variant else (name, row.has, "", "", "", "")
    audience = f"{row.tier}/{row.cohort}" if row.cohort else row.tier
    audience = f"user {row.user} of {audience}" if row.user else audience
    back = f"; back about {row.expected_return}" if row.expected_return else ""
    return (name, audience, row.has, row.reason, row.since, row.message + back)


def _override(row: OverrideRow) -> tuple[str, ...]:
    return (f"{row.namespace}/{row.name}", row.feature, row.audience, row.variant, row.ends)


def _scaler(row: ScalerRow) -> tuple[str, ...]:
    counts = (row.ready, row.coming, row.desired, row.demanded)
    return (f"{row.namespace}/{row.name}", *map(figure, counts), percent(row.saturation_percent), row.summary)


def _text(table: Table) -> str:
    return "\n".join(_lines(table))


def _lines(table: Table) -> Iterator[str]:
    lines = (table.heads, *table.rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.heads))]
    for line in lines:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
