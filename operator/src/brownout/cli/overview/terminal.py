"""The overview on a terminal: the same tables, as wide as it is, with what is taken in colour."""

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from brownout.cli.overview.model import FeatureRow, Overview
from brownout.cli.overview.tables import WORDS, Table, tables

STYLES = {"nothing": "", "part": "yellow", "all": "red", "override": "magenta"}


def drawn(seen: Overview, *, wide: bool = False) -> Group:
    """All tables, and the troubles."""
    parts: list[RenderableType] = []
    for table in tables(seen, wide=wide):
        styles = [_style(row) for row in seen.features] if table.heads[0] == "FEATURE" else []
        parts += [_grid(table, styles), Text()]
    parts += [Text(trouble, style="red") for trouble in seen.troubles]
    return Group(*parts)


def headed(seen: Overview, *, at: datetime, where: str, lost: str, wide: bool = False) -> Group:
    """The live page: when it was true, of which namespaces, and, where the API server cannot be heard, since when and why."""
    line = Text(f"{at:%H:%M:%S} UTC, {where}; Ctrl-C ends", style="dim")
    warning = [Text(f"not up to date: {lost}", style="bold red")] if lost else []
    return Group(line, *warning, Text(), drawn(seen, wide=wide))


def _grid(table: Table, styles: list[str]) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in table.heads:
        grid.add_column(head, no_wrap=head not in WORDS, overflow="fold" if head in WORDS else "ellipsis")
    for cells, style in zip(table.rows, _filled(styles, len(table.rows)), strict=True):
        grid.add_row(*(Text(cell) for cell in cells), style=style)
    return grid


def _filled(styles: list[str], count: int) -> Iterator[str]:
    yield from styles or [""] * count


def _style(row: FeatureRow) -> str:
    if not row.tier:
        return STYLES["nothing"]
    if row.overridden_to:
        return STYLES["override"]
    return STYLES["all" if row.percent == 100 and "denied" in row.variant else "part"]
