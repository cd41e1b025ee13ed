"""What a typed resource says about itself beyond its types: bounds, rules between fields, printer columns.

The generator turns these into a structural schema; decoding turns a quantity's text into a number.
"""

from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
from msgspec import Meta

GROUP = "brownout.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Rule(NamedTuple):
    """A CEL rule on an object; `message` says what to write instead.

    A rule must hold for what is absent too (`!has(self.x) || ...`): the API server also tries it on a parent's
    `default: {}` alone, before the defaults inside it are filled in.
    """

    rule: str
    message: str
    field_path: str = ""


class Column(NamedTuple):
    """A printer column of `kubectl get`; `priority` 1 shows with `-o wide` only."""

    name: str
    json_path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


class Object(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a resource: immutable, camelCase on the wire, unknown fields ignored so that a rollback works."""

    rules: ClassVar[tuple[Rule, ...]] = ()


class Resource(NamedTuple):
    """One kind: how it is named, scoped and printed."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    spec: type[Object]
    status: type[Object]
    columns: tuple[Column, ...]
    description: str
    namespaced: bool = True

    @property
    def singular(self) -> str:
        return self.kind.lower()


def schema_extra(**extra: Any) -> Meta:
    """Schema keys that are not types, such as `x-kubernetes-list-type`; underscores stand for dashes."""
    return Meta(extra_json_schema={key.replace("_", "-"): value for key, value in extra.items()})


Name = Annotated[
    str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", examples=["image-xl"])
]
"""The name of a Kubernetes object."""

Label = Annotated[
    str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", examples=["new-accounts"])
]
"""A name we make labels and variants of: lower case, digits and dashes."""

FlagKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        examples=["image-generation"],
    ),
]
"""A feature flag's key, as OpenFeature clients ask for it."""

Query = Annotated[str, Meta(min_length=1, max_length=4096)]
"""A PromQL expression."""

Quantity = Annotated[
    int | str,
    Meta(
        examples=["700m"],
        extra_json_schema={
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maxLength": 32,
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G)?$",
        },
    ),
]
"""A non-negative number without floats: 8, "0.5", "700m"."""

Time = Annotated[
    str,
    Meta(
        examples=["2026-11-22T20:00:00Z"],
        extra_json_schema={
            "format": "date-time",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$",
        },
    ),
]
"""A moment as RFC 3339 text with its zone, such as 2026-11-22T20:00:00Z."""

Locale = Annotated[
    str, Meta(min_length=2, max_length=35, pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", examples=["en-GB"])
]
"""A language tag of BCP 47, such as en or pt-BR."""

Percent = Annotated[int, Meta(ge=0, le=100)]

_SUFFIXES = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}


def number(quantity: int | str) -> float:
    """The value of a quantity. Raises ValueError, naming the text, where it is not one."""
    if isinstance(quantity, int):
        return float(quantity)
    text, scale = quantity, 1.0
    if text and text[-1] in _SUFFIXES:
        text, scale = text[:-1], _SUFFIXES[text[-1]]
    try:
        value = float(text) * scale
    except ValueError:
        raise ValueError(f'{quantity!r} is not a quantity; write a number such as 8, "0.5" or "700m"') from None
    if not 0 <= value < float("inf"):
        raise ValueError(f"{quantity!r} is not a finite, non-negative quantity")
    return value


class Condition(Object, frozen=True, kw_only=True):
    """A standard Kubernetes condition."""

    type: Annotated[str, Meta(min_length=1, max_length=316)]
    status: Annotated[str, Meta(extra_json_schema={"enum": ["True", "False", "Unknown"]})]
    reason: Annotated[str, Meta(min_length=1, max_length=1024)]
    message: Annotated[str, Meta(max_length=32768)] = ""
    last_transition_time: Time = ""
    observed_generation: Annotated[int, Meta(ge=0)] = 0


Conditions = Annotated[
    tuple[Condition, ...],
    schema_extra(x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["type"]),
]


class Ref(Object, frozen=True, kw_only=True):
    """A reference by name: within the same namespace, or to a cluster-scoped object."""

    name: Name


class DisplayName(Object, frozen=True, kw_only=True):
    """What people call it, in one language; the first one's is the default."""

    locale: Locale = "en"
    text: Annotated[str, Meta(min_length=1, max_length=100, description="plain text, as users read it")]


DisplayNames = Annotated[
    tuple[DisplayName, ...],
    Meta(max_length=32, description="for the status page; without any it makes one of the object's name"),
]

ONE_DISPLAY_NAME_EACH = Rule(
    "!has(self.displayNames) || self.displayNames.all(n, self.displayNames.exists_one(m, m.locale == n.locale))",
    "two display names have the same locale; write one for each",
    ".displayNames",
)
