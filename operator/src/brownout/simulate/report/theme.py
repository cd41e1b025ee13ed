"""How the plots look: three colours that mean the same everywhere, and ink that follows the page into the dark.

Blue is served, ready, whole. Amber is late, loading, a lower variant. Vermilion is refused, pending, denied. The three differ in
lightness as well as in hue, so that colour-blind readers and black-and-white prints keep them apart.

Ink, pale and grid are drawn in colours that nothing else has; a page replaces them in the SVG by CSS variables.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from brownout.simulate.tournament import HPA, IDEAL, OURS

GOOD, MIDDLE, BAD = "#3a6ea5", "#edb95e", "#b8432f"
INK, MUTED, GRID, PALE = "#1f2328", "#626a73", "#dfe2e6", "#e9eef4"
"""INK: lines and titles. MUTED: labels of axes. GRID: lines behind. PALE: areas of which nothing needs to be said."""

CSS_NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", PALE: "pale"}

SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: small files that can be searched, in the page's own font
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 7.5,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.borderpad": 0.0,
    "legend.handlelength": 1.0,
    "legend.handleheight": 0.8,
    "legend.columnspacing": 1.2,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}

_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_SIZE = re.compile(
    r'(<svg[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"|(<svg[^>]*?) width="[^"]*"([^>]*?) height="[^"]*"'
)


@contextmanager
def themed() -> Iterator[None]:
    """Everything drawn and saved within looks as described above."""
    with mpl.rc_context(SETTINGS):
        yield


def inline(figure: Figure, *, name: str, title: str) -> str:
    """The figure as an `<svg>` element for a page that defines --ink, --muted, --grid and --pale.

    `name` is put before every id within, so that figures on one page do not share clip paths. `title` is read to people who
    cannot see it.
    """
    text = _METADATA.sub("", _HEAD.sub("", _svg(figure, salt=name), count=1))
    for colour, variable in CSS_NAMES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    text = text.replace("'DejaVu Sans', sans-serif", "var(--font)")
    text = _SIZE.sub(lambda found: "".join(part or "" for part in found.groups()), text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a file of its own, on white: SVG or PNG, by its suffix. The same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".svg":
        path.write_text(_svg(figure, salt=path.stem, background="white"))
    else:
        figure.savefig(path, dpi=144, facecolor="white", metadata={"Software": None})


def _svg(figure: Figure, *, salt: str, background: str = "none") -> str:
    with mpl.rc_context({"svg.hashsalt": salt}):
        text = io.StringIO()
        figure.savefig(text, format="svg", facecolor=background, metadata={"Date": None, "Creator": None})
    return text.getvalue()


def controller_name(name: str) -> str:
    """A controller as people read it."""
    return {OURS: "Brownout", IDEAL: "Brownout, told the truth (O3)", HPA: "HPA"}.get(name, name)
