"""Requests a second over time: the generators' shapes, and traces read from CSV files."""

import csv
from datetime import datetime
from pathlib import Path

import numpy as np

from brownout.simulate.record import Floats
from brownout.simulate.scenario import Rate, Scenario, ScenarioError, Trace

DAY_SECONDS = 86400.0
VIRAL_STEEPNESS = 10.0
"""A logistic rise goes from 0.7 % to 99.3 % of its height within the time that it is given."""


def rates(scenario: Scenario, traces: Path | None = None) -> Floats:
    """Mean requests a second in each second of a scenario, by stream: shape [seconds, streams].

    `traces`: where to look for trace files that are not beside the scenario.
    """
    at: Floats = np.arange(round(scenario.seconds), dtype=np.float64) + 0.5
    return np.stack([rate_at(stream.rate, at, scenario=scenario, traces=traces) for stream in scenario.demand], axis=1)


def rate_at(rate: Rate, at: Floats, *, scenario: Scenario, traces: Path | None) -> Floats:
    """Requests a second at these moments."""
    if rate.trace is not None:
        return rate.base + from_trace(rate.trace, at, scenario=scenario, traces=traces)
    height = rate.peak - rate.base
    since = at - rate.at
    if rate.shape == "steady":
        return np.full_like(at, rate.base)
    if rate.shape == "daily":
        return np.asarray(rate.base + height * (1 - np.cos(2 * np.pi * since / DAY_SECONDS)) / 2, dtype=np.float64)
    if rate.shape == "step":
        return rate.base + height * ((since >= 0) & (since < rate.hold)).astype(np.float64)
    if rate.shape == "ramp":
        up = _curve(rate, since / max(rate.rise, 1e-9))
        down = _curve(rate, (since - rate.rise - rate.hold) / max(rate.fall, 1e-9))
        return rate.base + height * (up - down)
    phase = (since % rate.period) / rate.period
    wave = 1 - np.abs(2 * phase - 1) if rate.shape == "sawtooth" else (phase < 0.5).astype(float)
    return rate.base + height * wave * ((since >= 0) & (since < (rate.hold or np.inf)))


def _curve(rate: Rate, progress: Floats) -> Floats:
    if rate.curve == "Linear":
        return np.clip(progress, 0.0, 1.0)
    inside = 1 / (1 + np.exp(-VIRAL_STEEPNESS * (np.clip(progress, 0.0, 1.0) - 0.5)))
    return np.where(progress <= 0, 0.0, np.where(progress >= 1, 1.0, inside))


def trace_path(trace: Trace, *, folder: Path, traces: Path | None) -> Path | None:
    """Where a trace's file is: beside the scenario, or in the folder of traces; None where it is in neither."""
    found = (place / trace.file for place in (folder, traces) if place is not None)
    return next((path for path in found if path.is_file()), None)


def missing_traces(scenario: Scenario, traces: Path | None) -> tuple[str, ...]:
    """The trace files of a scenario that are not to be found."""
    wanted = [stream.rate.trace for stream in scenario.demand if stream.rate.trace is not None]
    folder = Path(scenario.folder)
    return tuple(sorted({t.file for t in wanted if trace_path(t, folder=folder, traces=traces) is None}))


def trace_files(scenario: Scenario, traces: Path | None) -> tuple[Path, ...]:
    """The trace files of a scenario that are to be found."""
    wanted = [stream.rate.trace for stream in scenario.demand if stream.rate.trace is not None]
    found = (trace_path(trace, folder=Path(scenario.folder), traces=traces) for trace in wanted)
    return tuple(sorted({path for path in found if path is not None}))


def from_trace(trace: Trace, at: Floats, *, scenario: Scenario, traces: Path | None) -> Floats:
    """A trace's rate at these moments of the scenario; zero before its first row and after its last one."""
    path = trace_path(trace, folder=Path(scenario.folder), traces=traces)
    if path is None:
        raise ScenarioError(
            f"scenario {scenario.name}: trace {trace.file}: no such file; name its folder with --traces"
        )
    moments, values = read_trace(path, trace)
    where = trace.start_seconds + at * trace.speed
    if trace.rate_column:
        found = np.interp(where, moments, values, left=0.0, right=0.0)
    else:
        width = max(1.0, trace.speed)
        counts, edges = np.histogram(moments, bins=np.arange(0.0, moments.max() + 2 * width, width))
        index = np.searchsorted(edges, where, side="right") - 1
        inside = (index >= 0) & (index < len(counts))
        found = np.where(inside, counts[np.clip(index, 0, len(counts) - 1)] / width, 0.0) * trace.speed
    mean = float(found.mean())
    factor = trace.mean / mean if trace.mean is not None and mean > 0 else trace.scale
    return np.asarray(found * factor, dtype=np.float64)


def read_trace(path: Path, trace: Trace) -> tuple[Floats, Floats]:
    """A CSV file's moments in seconds from its first row, and its rates (ones where each row is a request).

    Rows that go back in time are refused: sorted, a file pasted together from two days would pass for one of both.
    """
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        for column in filter(None, (trace.seconds_column, trace.rate_column)):
            if column not in (rows.fieldnames or ()):
                raise ScenarioError(
                    f"{path}: no column {column!r}; it has {', '.join(rows.fieldnames or ()) or 'none'}"
                )
        moments, values, before = [], [], ""
        for row in rows:
            try:
                moments.append(_seconds(row[trace.seconds_column]))
                values.append(float(row[trace.rate_column]) if trace.rate_column else 1.0)
            except ValueError as error:
                raise ScenarioError(
                    f"{path}: line {rows.line_num}: {error}; write numbers, or ISO 8601 times"
                ) from None
            if len(moments) > 1 and moments[-1] < moments[-2]:
                raise ScenarioError(
                    f"{path}: line {rows.line_num}: time {row[trace.seconds_column]} after {before}; "
                    "write rows in ascending order"
                )
            before = row[trace.seconds_column]
    if not moments:
        raise ScenarioError(f"{path}: no rows; a trace needs at least one")
    found = np.asarray(moments, dtype=np.float64)
    return found - found[0], np.asarray(values, dtype=np.float64)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        head, _, fraction = text.strip().partition(".")
        return datetime.fromisoformat(head).timestamp() + (float(f"0.{fraction.rstrip('Z')}") if fraction else 0.0)
