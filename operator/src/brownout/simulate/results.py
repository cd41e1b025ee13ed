"""A whole comparison of controllers in one scenario, as it is written to JSON: every seed's figures, and what they come to."""

import hashlib
import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from brownout.simulate.figures import Figures, distinguishes, score
from brownout.simulate.statistics import Interval, bootstrap, paired_difference, percentiles, quantile, resamples

TAIL = 0.95
"""The quantile over seeds of what must be bounded and not only small in the mean."""

Values = Mapping[int, float]
"""V by seed."""


class Provenance(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a comparison was made of and on, so that it can be made again. Hashes are SHA-256; `traces` by file name."""

    scenario: str
    scenario_hash: str
    traces: dict[str, str] = {}
    machine: str
    python: str


class Place(Struct, frozen=True, kw_only=True, rename="camel"):
    """A controller among all, by mean V. `firstOrWithin`: first, or its mean is not below the first's interval.

    `behindFirst`: V of the first less its own, seed by seed; an interval that holds 0 cannot tell them apart.
    """

    rank: int
    first_or_within: bool
    behind_first: Interval


class ControllerResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """One controller. `means` by the figure's name; `place` is None for oracles; `score` where the scenario is excluded."""

    name: str
    figures: dict[int, Figures]
    means: dict[str, Interval]
    score: Interval | None
    place: Place | None


class Comparison(Struct, frozen=True, kw_only=True, rename="camel"):
    """One scenario. `bounds`: V by seed of what was computed and not run, such as O1 and O2. `best`: the mean V that scores 1."""

    provenance: Provenance
    seeds: tuple[int, ...]
    hpa: str
    programme: str
    best: float
    excluded: bool
    bounds: dict[str, dict[int, float]]
    controllers: tuple[ControllerResult, ...]


def provenance(scenario: str, file: Path, *, traces: Iterable[Path] = (), machine: str) -> Provenance:
    """Of a scenario's file and the traces that it reads. OSError where a file cannot be read."""
    return Provenance(
        scenario=scenario,
        scenario_hash=_sha256(file),
        traces={trace.name: _sha256(trace) for trace in traces},
        machine=machine,
        python=platform.python_version(),
    )


def summarise(
    runs: Mapping[str, Mapping[int, Figures]],
    made_of: Provenance,
    *,
    hpa: str,
    programme: str,
    bounds: Mapping[str, Values],
    oracles: Collection[str] = (),
) -> Comparison:
    """What the runs of one scenario come to: figures by controller and seed in, a comparison out.

    `hpa` names the controller that scores 0. What scores 1 is the greater of the `programme`'s mean V, one of `bounds`, and of
    every run controller's. `oracles` are run controllers that nobody could have: they have a score, and no place.
    ValueError where a name is missing, or seeds are not the same for all.
    """
    seeds = _common_seeds({**runs, **bounds})
    for name, known, what in ((hpa, runs, "runs"), (programme, bounds, "bounds")):
        if name not in known:
            raise ValueError(f"no {name} among the {what}; found {', '.join(sorted(known)) or 'none'}")
    values = {name: [by_seed[seed].value for seed in seeds] for name, by_seed in runs.items()}
    ceiling = [bounds[programme][seed] for seed in seeds]
    best = max(float(np.mean(v)) for v in (ceiling, *values.values()))
    places = rank({name: v for name, v in values.items() if name not in oracles})
    results = [
        ControllerResult(
            name=name,
            figures={seed: runs[name][seed] for seed in seeds},
            means=means([runs[name][seed] for seed in seeds]),
            score=score_interval(values[name], hpa=values[hpa], candidates=(ceiling, *values.values())),
            place=places.get(name),
        )
        for name in sorted(runs, key=lambda name: (-float(np.mean(values[name])), name))
    ]
    return Comparison(
        provenance=made_of,
        seeds=seeds,
        hpa=hpa,
        programme=programme,
        best=best,
        excluded=not distinguishes(hpa=float(np.mean(values[hpa])), best=best),
        bounds={name: {seed: by_seed[seed] for seed in seeds} for name, by_seed in bounds.items()},
        controllers=tuple(results),
    )


def score_interval(
    values: Sequence[float], *, hpa: Sequence[float], candidates: Sequence[Sequence[float]]
) -> Interval | None:
    """The score of mean values V, each by seed in the same order, against the greatest mean among `candidates`.

    Each resample draws seeds, the same ones for all, and computes the score anew. None where the scenario is excluded.
    """
    best = max(float(np.mean(v)) for v in candidates)
    found = score(float(np.mean(values)), hpa=float(np.mean(hpa)), best=best)
    if found is None:
        return None
    drawn = resamples(len(values))
    own, base = np.asarray(values)[drawn].mean(axis=1), np.asarray(hpa)[drawn].mean(axis=1)
    top = np.max([np.asarray(v)[drawn].mean(axis=1) for v in candidates], axis=0)
    apart = top > base
    return percentiles(found, (own[apart] - base[apart]) / (top[apart] - base[apart]))


def rank(values: Mapping[str, Sequence[float]]) -> dict[str, Place]:
    """The place of each controller by its mean V, from V by seed in the same order; equals share the better rank."""
    if not values:
        return {}
    mean = {name: float(np.mean(v)) for name, v in values.items()}
    first = max(sorted(mean), key=lambda name: mean[name])
    least = min(mean[first], bootstrap(values[first]).low)  # equal values may differ in their last digit
    return {
        name: Place(
            rank=1 + sum(other > mean[name] for other in mean.values()),
            first_or_within=mean[name] >= least,
            behind_first=paired_difference(values[first], v),
        )
        for name, v in values.items()
    }


def means(figures: Sequence[Figures]) -> dict[str, Interval]:
    """Every figure over seeds, by its name in camelCase; what any seed lacks is left out.

    Figures by episode count with their mean in each seed, and as `...P95` with the 95th percentile over seeds of each seed's
    worst episode. `fairness` is that of the least fair tier.
    """
    found: dict[str, Interval] = {}
    for field in msgspec.structs.fields(Figures):
        of_seeds = [getattr(one, field.name) for one in figures]
        if any(value is None or value in ((), {}) for value in of_seeds):
            continue
        if isinstance(of_seeds[0], tuple):
            found[field.encode_name] = bootstrap([float(np.mean(value)) for value in of_seeds])
            found[f"{field.encode_name}P95"] = bootstrap([max(value) for value in of_seeds], quantile(TAIL))
        elif isinstance(of_seeds[0], dict):
            found[field.encode_name] = bootstrap([min(value.values()) for value in of_seeds])
        else:
            found[field.encode_name] = bootstrap(of_seeds)
    return found


def to_json(comparison: Comparison) -> bytes:
    return msgspec.json.format(msgspec.json.encode(comparison), indent=2)


def from_json(text: bytes | str) -> Comparison:
    """msgspec.ValidationError, with the place, where it is no comparison."""
    return msgspec.json.decode(text, type=Comparison)


def _common_seeds(by_name: Mapping[str, Mapping[int, object]]) -> tuple[int, ...]:
    seeds = {name: tuple(sorted(by_seed)) for name, by_seed in by_name.items()}
    some = next(iter(seeds), None)
    for name, own in seeds.items():
        if some is None or own != seeds[some] or not own:
            raise ValueError(
                f"{name} has the seeds {list(own)}, {some} has {list(seeds[some or name])}; run all on the same"
            )
    return seeds[some] if some is not None else ()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
