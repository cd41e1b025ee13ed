"""What a server is told when it starts: flags of the command line over environment variables over a configuration file over defaults."""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from brownout_inference.engine.company import SLACK
from brownout_inference.engine.load import OWN, SHIPPED, EngineSpec
from brownout_inference.features import BUILT_IN, MAX_FRAMES, MAX_SIDE, MAX_STEPS, MAX_TOKENS, Api, Feature
from brownout_inference.models.catalogue import SIDES
from brownout_inference.shapes import fault

SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
MODELS = {"image": (Api.IMAGES, Api.VIDEOS), "language": (Api.CHAT,)}
"""The models that are shipped, and the endpoints that each can serve."""
MOST_HEAVIEST_USERS = 5
"""Users of each feature, tier and cohort who may be named in metrics."""
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
DEFAULT_CLAIMS: Mapping[str, str] = {
    "targetingKey": "sub",
    "plan": "plan",
    "accountCreatedAt": "accountCreatedAt",
    "zoneinfo": "zoneinfo",
}
"""The claims in which a token says the attributes of the evaluation context."""


class SettingsError(ValueError):
    """Settings that cannot be used; the message names the setting, what was found and what to write."""


class FlagSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where flags come from. `unknown_priority` is the place in the queue of users whose tier is not known."""

    host: str = "127.0.0.1"
    port: int = 8015
    selector: str | None = None
    required: bool = False
    unknown_priority: int = -1


class QuotaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where units are counted: `url` is the base URL of a namespace on the flag server. ttl_seconds: longer than any request takes."""

    url: str = "http://127.0.0.1:8080"
    token: str = ""
    ttl_seconds: int = 900


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens (JWT) count, and what their claims mean.

    jwks: a URL or a file. claims: the claim for each attribute of the evaluation context; a dot leads into a claim that is an object. stale_seconds: how long the
    last known keys serve while newer ones cannot be had.
    """

    jwks: str
    issuer: str
    audience: tuple[str, ...]
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    claims: Mapping[str, str] = msgspec.field(default_factory=lambda: dict(DEFAULT_CLAIMS))
    leeway_seconds: float = 30.0
    refresh_seconds: float = 300.0
    stale_seconds: float = 86_400.0


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose word about a user counts: headers of the `gateways`, tokens, or nobody's. required: somebody unknown is refused.

    A gateway that has to show `gateway_secret` also has to come from one of the networks.
    """

    source: Literal["headers", "jwt", "none"] = "headers"
    gateways: tuple[IPv4Network | IPv6Network, ...] = LOOPBACK
    gateway_secret: str = ""
    required: bool = False
    tokens: TokenSettings | None = None


class FeatureEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One feature in a configuration file; what is left out comes from the built-in feature of that name, or from the defaults."""

    api: Api | None = None
    flag_key: str | None = None
    steps: Annotated[int, msgspec.Meta(ge=1, le=MAX_STEPS)] | None = None
    side: Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE)] | None = None
    frames: Annotated[int, msgspec.Meta(ge=1, le=MAX_FRAMES)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    objective_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The file that `--config` names, YAML or JSON."""

    workload: str | None = None
    model: str | None = None
    features: dict[str, FeatureEntry] = {}
    step_seconds: float | None = None
    max_batch: int | None = None
    queue_places: int | None = None
    heaviest_users: int | None = None
    pod_deletion_cost_seconds: float | None = None
    pause_slots: int | None = None
    company_slack: float | None = None
    queue_seconds: float | None = None
    device: Literal["cpu", "cuda", "auto"] | None = None
    dtype: str | None = None
    threads: int | None = None
    max_tokens: int | None = None
    memory_share: float | None = None
    step_timeout_seconds: float | None = None
    load_timeout_seconds: float | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a server needs to know. `queue_places` is for each tier; `grace_seconds` is how long a drain may take.

    Metrics are served at `metrics_port` alone, or beside everything else where that is None. `heaviest_users` of each feature, tier and cohort are named in metrics; 0 names nobody. `pod` (namespace, name) is the pod whose deletion cost is kept, at most
    every `pod_deletion_cost_seconds`; 0 keeps none. `pause_slots` bounds those who have begun and let others go first. Lower tiers may slow the steps of more important
    ones by `company_slack` of what they take alone; negative or infinite means without bound. Nobody is admitted behind more GPU-seconds than `queue_seconds`; None is without bound. An engine
    that says nothing for `step_timeout_seconds` in a step, or for `load_timeout_seconds` while it loads, is taken for dead.
    """

    workload: str
    model: str
    features: tuple[Feature, ...]
    host: str
    port: int
    metrics_port: int | None = None
    step_seconds: float
    max_batch: int
    queue_places: int
    heaviest_users: int
    grace_seconds: float
    flags: FlagSettings
    quota: QuotaSettings = QuotaSettings()
    pod: tuple[str, str] | None = None
    pod_deletion_cost_seconds: float = 0
    identity: IdentitySettings = IdentitySettings()
    max_connections: int = 1000
    engine: EngineSpec
    pause_slots: int = 4
    company_slack: float = SLACK
    queue_seconds: float | None = None
    step_timeout_seconds: float = 60.0
    load_timeout_seconds: float = 600.0


def read_config(path: Path) -> ConfigFile:
    """Reads a configuration file. Raises SettingsError."""
    try:
        raw = msgspec.yaml.decode(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"--config {path}: {error.strerror or error}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        words = " ".join(str(error).split())  # the parser draws a picture of several lines
        raise SettingsError(f"--config {path} is neither YAML nor JSON: {words}") from error
    try:
        return msgspec.convert(raw, ConfigFile)
    except msgspec.ValidationError as error:
        found = fault(raw, ConfigFile)
        raise SettingsError(f"--config {path}: {found.sentence('the file') if found else error}") from error


def endpoints_of(model: str) -> tuple[Api, ...]:
    """What a model can serve; one in a folder is told by the file that says what it is, an engine of one's own may serve anything."""
    if model in SHIPPED:
        return MODELS[model]
    if model.startswith(OWN):
        return tuple(Api)
    return (Api.IMAGES,) if (Path(model) / "model_index.json").is_file() else (Api.CHAT,)


def features_of(
    names: list[str], entries: Mapping[str, FeatureEntry], model: str, *, max_tokens: int
) -> tuple[Feature, ...]:
    """The features by name, from the file and the built-in ones. Raises SettingsError for what is unknown or does not fit the model.

    `max_tokens` bounds prompt and answer of models that do not ship with the server.
    """
    shipped = model in SHIPPED
    most = MAX_TOKENS if shipped else max_tokens
    features = tuple(
        _feature(name, entries.get(name, FeatureEntry()), shipped=shipped, most_tokens=most) for name in names
    )
    served: dict[Api, str] = {}
    for feature in features:
        if feature.api not in endpoints_of(model):
            raise SettingsError(f"feature {feature.name!r} needs {feature.api}, which the {model} model does not serve")
        if feature.api in served:
            raise SettingsError(
                f"features {served[feature.api]!r} and {feature.name!r} both answer {feature.api}; keep one"
            )
        served[feature.api] = feature.name
    if not features:
        raise SettingsError("no features; name some with --features, such as --features image-generation")
    return features


def default_selector(environment: Mapping[str, str]) -> str | None:
    """The namespace of the pod: POD_NAMESPACE, or what the service account's folder says."""
    if namespace := environment.get("POD_NAMESPACE"):
        return namespace
    try:
        return SERVICE_ACCOUNT_NAMESPACE.read_text().strip() or None
    except OSError:
        return None


def own_pod(environment: Mapping[str, str]) -> tuple[str, str]:
    """Namespace and name of the pod that this process runs in. Raises SettingsError where the environment does not say."""
    name = environment.get("POD_NAME") or environment.get("HOSTNAME")
    namespace = default_selector(environment)
    if not name or not namespace:
        raise SettingsError(
            "--pod-deletion-cost-seconds needs to know its pod; set POD_NAME and POD_NAMESPACE from metadata.name and metadata.namespace"
        )
    return namespace, name


def from_environment(name: str, default: Any) -> Any:
    """The value of an environment variable in the type of `default`. Raises SettingsError."""
    text = os.environ.get(name)
    if text is None or text == "":
        return default
    try:
        return type(default)(text) if default is not None else text
    except ValueError as error:
        what = {int: "a whole number", float: "a number"}[type(default)]
        raise SettingsError(f"environment variable {name} is {text!r}; write {what}, such as {default}") from error


def _feature(name: str, entry: FeatureEntry, *, shipped: bool, most_tokens: int) -> Feature:
    base = BUILT_IN.get(name)
    api = entry.api or (base.api if base else None)
    if api is None:
        known = ", ".join(BUILT_IN)
        raise SettingsError(
            f"feature {name!r} is not built in ({known}); give it an `api` under `features` in --config"
        )
    if shipped and entry.side is not None and entry.side not in SIDES:
        sides = " or ".join(map(str, SIDES))
        raise SettingsError(f"features.{name}.side is {entry.side}; the image model makes pictures of {sides} pixels")
    given: dict[str, Any] = {
        "steps": entry.steps or (base.steps if base else None),
        "side": entry.side,
        "frames": entry.frames or (base.frames if base else None),
        "max_tokens": entry.max_tokens or (base.max_tokens if base else None),
        "objective_seconds": entry.objective_seconds or (base.objective_seconds if base else None),
    }
    flag_key = entry.flag_key or (base.flag_key if base else name)
    return Feature(
        name=name,
        api=api,
        flag_key=flag_key,
        most_tokens=most_tokens,
        shipped=shipped,
        **{key: value for key, value in given.items() if value},
    )
