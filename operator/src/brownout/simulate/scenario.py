"""A scenario: a YAML file that refers to the manifests one applies to a cluster, and says what happens to them.

Everything in it is what the world does; what is *declared* about the world stays in the manifests. So a cost that lies is
`costFactor` here, and a user's tier is a UserTier there.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from brownout.simulate.refusals import refusal

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
NotNegative = Annotated[float, Meta(ge=0)]


class ScenarioError(ValueError):
    """A scenario that cannot be used: the file, the field, what was found and what to write."""


class Part(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of the file: names in camelCase, nothing that is not known."""


class Trace(Part, frozen=True, kw_only=True):
    """A rate read from a CSV file: a row for each moment (`rateColumn`), or for each request (without one).

    `file` is relative to the scenario, or to the folder given as `--traces`. The trace starts at `startSeconds` of its own
    time, runs `speed` times as fast, and is stretched to a mean of `mean` requests a second, or by `scale`.
    """

    file: str
    seconds_column: str
    rate_column: str = ""
    scale: Positive = 1.0
    mean: Positive | None = None
    start_seconds: NotNegative = 0.0
    speed: Positive = 1.0


class Rate(Part, frozen=True, kw_only=True):
    """Requests a second over time: `base`, times or plus a shape.

    - steady: `base`.
    - ramp: from `base` to `peak` over `rise` seconds from `at`, held for `hold`, back over `fall`. `curve: Viral` follows a
      logistic curve, `Linear` a straight line.
    - step: `peak` from `at` for `hold`.
    - sawtooth: between `base` and `peak` with `period`, from `at` for `hold`; up for half of the period, down for half.
    - square: `peak` for half of every `period`, `base` for the other half.
    - daily: base + (peak - base) * (1 - cos(2 pi t / 86400)) / 2, lowest at `at`.
    """

    shape: Literal["steady", "ramp", "step", "sawtooth", "square", "daily"] = "steady"
    base: NotNegative = 0.0
    peak: NotNegative = 0.0
    at: NotNegative = 0.0
    rise: NotNegative = 0.0
    hold: NotNegative = 0.0
    fall: NotNegative = 0.0
    period: Positive = 300.0
    curve: Literal["Linear", "Viral"] = "Linear"
    trace: Trace | None = None


class Stream(Part, frozen=True, kw_only=True):
    """Users of one cell who ask. `burstiness` is the variance of counts over the mean: 1 is Poisson, more is burstier.

    `users` share the requests evenly; `name` says which stream it is where a cell has several (one heavy tenant is a stream
    with `users: 1`).
    """

    feature: str
    tier: str
    cohort: str = ""
    rate: Rate
    users: Annotated[int, Meta(ge=1, le=10_000_000)] = 1000
    burstiness: Annotated[float, Meta(ge=1)] = 1.0
    name: Annotated[str, Meta(max_length=100)] = ""


class Simulated(Part, frozen=True, kw_only=True):
    """How a workload really behaves. `objectiveSeconds`: from a request to its answer. `batch`: requests that one replica
    serves at once; a step of a batch that holds n of them takes overhead + (1 - overhead) n / batch of a full one's time.
    `costFactor`: true cost over declared. `startReplicas`: ready at the start (default: minReplicas).
    """

    objective_seconds: Positive
    cold_start_seconds: Positive = 180.0
    cold_start_spread: Share = 0.1
    batch: Annotated[int, Meta(ge=1, le=256)] = 8
    overhead: Annotated[float, Meta(ge=0, lt=1)] = 0.3
    order: Literal["Tiered", "FIFO"] = "Tiered"
    timeout_seconds: Positive = 60.0
    cost_factor: Positive = 1.0
    cost_spread: Share = 0.2
    start_replicas: Annotated[int, Meta(ge=0)] | None = None


class Users(Part, frozen=True, kw_only=True):
    """What users do when they are refused, or have waited for longer than `timeoutSeconds`: `retryShare` try again, after
    `retrySeconds` in the mean, `retries` times at most. `hiddenShare` of those who are denied by a flag do not even ask, for
    their client hides the button."""

    retry_share: Share = 0.3
    retry_seconds: Positive = 20.0
    retries: Annotated[int, Meta(ge=0, le=50)] = 2
    hidden_share: Share = 0.5


class Metrics(Part, frozen=True, kw_only=True):
    """How metrics lag: scraped every `scrapeSeconds`, seen `delaySeconds` later, rates over `windowSeconds`, gauges off by a
    relative standard deviation of `noise`. `heaviestUsers`: so many of each feature, tier and cohort are named by servers, with
    what they ask for; 0 where servers count no users."""

    scrape_seconds: Positive = 5.0
    delay_seconds: NotNegative = 1.0
    window_seconds: Positive = 30.0
    noise: Share = 0.02
    heaviest_users: Annotated[int, Meta(ge=0, le=5)] = 5


class PoolSize(Part, frozen=True, kw_only=True):
    nodes: Annotated[int, Meta(ge=1, le=1000)] = 3
    gpus_per_node: Annotated[int, Meta(ge=1, le=64)] = 8


class Event(Part, frozen=True, kw_only=True):
    """At `at` seconds: nodes are lost (negative) or come (positive), the oldest last."""

    at: NotNegative
    nodes: int


class Fault(Part, frozen=True, kw_only=True):
    """`metrics`: none can be had for `seconds`. `restart`: the controller's process ends and another starts."""

    at: NotNegative
    fault: Literal["metrics", "restart"]
    seconds: NotNegative = 0.0


class Weights(Part, frozen=True, kw_only=True):
    """What a served request is worth: tier weight x feature value x the variant's quality. Qualities that are not given: 1 for
    the first variant, 0 for the denial, evenly between."""

    tiers: dict[str, float]
    features: dict[str, float] = {}
    qualities: dict[str, dict[str, float]] = {}


class Episode(Part, frozen=True, kw_only=True):
    """A time of shortage, in seconds: what time to protect and reversals are counted over."""

    start: NotNegative
    end: NotNegative


class Scenario(Part, frozen=True, kw_only=True):
    """The whole file."""

    name: str
    summary: str = ""
    manifests: str | tuple[str, ...]
    namespace: str = "media"
    seconds: Annotated[float, Meta(gt=0, le=14 * 86400)]
    tick_seconds: Annotated[float, Meta(ge=1, le=60)] = 5.0
    pool: PoolSize = PoolSize()
    workloads: dict[str, Simulated]
    demand: tuple[Stream, ...]
    users: Users = Users()
    metrics: Metrics = Metrics()
    events: tuple[Event, ...] = ()
    faults: tuple[Fault, ...] = ()
    weights: Weights
    paying: tuple[str, ...]
    episodes: tuple[Episode, ...] = ()
    flag_delay_seconds: NotNegative = 1.0
    folder: str = ""


def read(path: Path) -> Scenario:
    """The scenario in a file; ScenarioError where it cannot be used.

    With `base: FILE` the fields of that file are taken where this one says nothing: mappings are merged, streams of demand
    replace those of the same cell and name, everything else is replaced.
    """
    raw = {**_raw(path), "folder": str(path.parent)}
    try:
        return msgspec.convert(raw, Scenario)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{path}: {refusal(raw, Scenario, error)}") from None


def _raw(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in seen:
        raise ScenarioError(f"{path}: base: leads back to itself; name another file")
    try:
        raw: Any = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from None
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path}: found {type(raw).__name__}; write a mapping with name, manifests, seconds, ...")
    base = raw.pop("base", None)
    return raw if base is None else _merged(_raw(path.parent / str(base), (*seen, path.resolve())), raw)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key, value in over.items():
        if key == "demand" and isinstance(value, list):
            streams = {_cell(stream): stream for stream in base.get("demand", [])}
            found[key] = list((streams | {_cell(stream): stream for stream in value}).values())
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            found[key] = _merged(base[key], value)
        else:
            found[key] = value
    return found


def _cell(stream: Any) -> tuple[str, ...]:
    return (
        tuple(str(stream.get(key, "")) for key in ("feature", "tier", "cohort", "name"))
        if isinstance(stream, dict)
        else ()
    )
