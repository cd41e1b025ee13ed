"""The report: one HTML file that needs nothing else, with what a comparison came to and what happened in one seed of it.

No script, no font, no address: it can be attached to an incident, opened in ten years, and printed. Tables first, because a
decision rests on numbers; plots of runs below, folded together but for Brownout's own.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from brownout.simulate.record import Record
from brownout.simulate.report import series, tables, theme
from brownout.simulate.report.run_plot import run_over_time
from brownout.simulate.report.values_plot import values
from brownout.simulate.results import Comparison
from brownout.simulate.tournament import OURS


def write(
    html_path: Path,
    comparisons: Sequence[Comparison],
    records: Sequence[Record] = (),
    *,
    summaries: Mapping[str, str] | None = None,
) -> None:
    """Write the report. `summaries`: a sentence about a scenario, by its name. OSError where the file cannot be written.

    A scenario needs no comparison: of one that was only run there are the plots.
    """
    names = list(dict.fromkeys([*(c.provenance.scenario for c in comparisons), *(r.scenario for r in records)]))
    with theme.themed():
        sections = [
            _scenario(
                name,
                next((c for c in comparisons if c.provenance.scenario == name), None),
                sorted((r for r in records if r.scenario == name), key=lambda r: r.controller != OURS),
                (summaries or {}).get(name, ""),
            )
            for name in names
        ]
        body = [_head(names, comparisons), *sections, _explained() if comparisons else "", _made_of(comparisons)]
    template = Template(files(__package__).joinpath("page.html").read_text())
    html_path.parent.mkdir(parents=True, exist_ok=True)
    html_path.write_text(template.substitute(title=escape(_title(names)), body="\n".join(filter(None, body))))


def _title(names: Sequence[str]) -> str:
    return f"Brownout, simulated: {names[0] if len(names) == 1 else f'{len(names)} scenarios'}"


def _head(names: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in names)
    parts = [f"<h1>{escape(_title(names))}</h1>"]
    if comparisons:
        parts.append(f'<p class="lead">{tables.seeds(comparisons[0])}</p>')
    if len(names) > 1:
        parts.append(f"<nav>{links}</nav>")
    if len(comparisons) > 1:
        plot = theme.inline(values(comparisons), name="values", title="V by scenario and controller")
        parts += [f'<figure class="wide">{plot}</figure>', "<h3>V by scenario</h3>", tables.by_scenario(comparisons)]
    return "\n".join(parts)


def _scenario(name: str, comparison: Comparison | None, records: Sequence[Record], summary: str) -> str:
    parts = [f'<h2 id="{_anchor(name)}">{escape(name)}</h2>']
    if summary:
        parts.append(f"<p>{escape(summary)}</p>")
    if comparison is not None:
        parts += [tables.figures(comparison), tables.excluded(comparison)]
    parts += [_run(record, unfolded=index == 0) for index, record in enumerate(records)]
    return "\n".join(filter(None, parts))


def _run(record: Record, *, unfolded: bool) -> str:
    name = theme.controller_name(record.controller)
    plot = theme.inline(
        run_over_time(record),
        name=_anchor(f"{record.scenario}-{record.controller}"),
        title=escape(f"{record.scenario} over time with {name}"),
    )
    return (
        f"<details{' open' if unfolded else ''}><summary>{escape(name)} <span>seed {record.seed}, over time</span></summary>"
        f'<figure class="wide">{plot}</figure>{_beside_the_plot(record)}'
        f'<div class="tables"><div><h3>What each tier got</h3>{tables.tiers(record)}</div>'
        f"<div><h3>Who lost what, and for how long</h3>{tables.losses(record)}</div></div></details>"
    )


def _beside_the_plot(record: Record) -> str:
    """What its shades and dotted lines mean, and the cells that have no row because their policies let nothing be taken."""
    shown = set(series.ladder(record))
    others = [series.title(cell) for c, cell in enumerate(record.cells) if c not in shown and cell.planned]
    said = [
        "Grey: no metrics could be had." if record.stale.any() else "",
        "Dotted: the controller was restarted." if record.restarts else "",
        f"Never taken from: {', '.join(others)}." if others else "",
    ]
    return f'<p class="note">{escape(" ".join(filter(None, said)))}</p>' if any(said) else ""


def _explained() -> str:
    return f"<h2>What the figures say</h2>{tables.explanations()}"


def _made_of(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    lines = []
    for one in (c.provenance for c in comparisons):
        hashes = [f"{one.scenario} {one.scenario_hash[:16]}", *(f"{f} {h[:16]}" for f, h in one.traces.items())]
        lines.append(", ".join(hashes))
    first = comparisons[0].provenance
    return (
        f"<footer>Made on {escape(first.machine)}, Python {escape(first.python)}. "
        f"SHA-256 of scenarios and traces: {escape('; '.join(lines))}.</footer>"
    )


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
