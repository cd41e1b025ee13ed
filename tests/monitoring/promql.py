"""What a query reads, and what labels its answer has, by the syntax tree that Prometheus itself makes of it.

A metric that no program exports, or a label that it does not have, is an error: an alert on it would never fire, and a panel would
stay empty, which looks like peace.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

TARGET = frozenset({"namespace", "pod", "job", "instance"})
"""Labels that a scrape adds. `namespace` is the pod's where the metric has none of its own, and with honor_labels."""

SET_OPERATORS = ("and", "or", "unless")
RISING = frozenset({"rate", "increase"})
KEEPING = RISING | {"max_over_time", "min_over_time", "avg_over_time"}


class UnknownError(Exception):
    """A query names something that is not exported."""


def labels(node: Mapping[str, Any], known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The labels that an expression's answer may have; `known` are those of every sample. Raises UnknownError."""
    match node["type"]:
        case "vectorSelector" | "matrixSelector":
            return _selected(node, known)
        case "aggregation":
            inner = labels(node["expr"], known)
            _are_there(node["grouping"], inner, f"{node['op']} by")
            return inner - frozenset(node["grouping"]) if node["without"] else frozenset(node["grouping"])
        case "binaryExpr":
            return _binary(node, known)
        case "call":
            return _called(node, known)
        case "parenExpr" | "unaryExpr" | "subquery":
            return labels(node["expr"], known)
        case "numberLiteral" | "stringLiteral":
            return frozenset()
    raise UnknownError(f"a kind of expression that no query of ours has: {node['type']}")


def metrics(node: Any) -> frozenset[str]:
    """The names of the samples that an expression reads."""
    if isinstance(node, list):
        return frozenset().union(*map(metrics, node))
    if not isinstance(node, dict):
        return frozenset()
    own = frozenset({node["name"]}) if node.get("type") in ("vectorSelector", "matrixSelector") else frozenset()
    return own.union(*map(metrics, node.values()))


def rises(node: Any) -> Iterator[Mapping[str, Any]]:
    """The selectors of the counters whose rise an expression looks at."""
    if isinstance(node, list):
        for each in node:
            yield from rises(each)
    elif isinstance(node, dict):
        if node.get("type") == "call" and node["func"]["name"] in RISING:
            yield node["args"][0]
        else:
            yield from rises(list(node.values()))


def chosen(selector: Mapping[str, Any]) -> list[dict[str, str]]:
    """The values of labels that a selector names, in every combination: a pattern may only be a list of them."""
    matchers = [matcher for matcher in selector["matchers"] if matcher["name"] != "__name__"]
    values = []
    for matcher in matchers:
        if matcher["type"] not in ("=", "=~") or re.search(r"[^\w|]", matcher["value"]):
            raise UnknownError(f"{selector['name']}: a matcher that no rule of ours has: {matcher}")
        values.append(matcher["value"].split("|"))
    names = [matcher["name"] for matcher in matchers]
    return [dict(zip(names, each, strict=True)) for each in itertools.product(*values)]


def _selected(node: Mapping[str, Any], known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    name = node["name"]
    if name not in known:
        raise UnknownError(f"no program exports {name}")
    own = known[name] | TARGET
    _are_there((m["name"] for m in node["matchers"] if m["name"] != "__name__"), own, name)
    return own


def _called(node: Mapping[str, Any], known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found = [labels(argument, known) for argument in node["args"]]
    match node["func"]["name"]:
        case "histogram_quantile":
            _are_there(("le",), found[1], "histogram_quantile")
            return found[1] - {"le"}
        case "label_replace":
            _are_there((node["args"][3]["val"],), found[0], "label_replace")
            return found[0] | {node["args"][1]["val"]}
        case "time" | "vector" | "absent":
            return frozenset()
        case name if name in KEEPING:
            return found[0]
    raise UnknownError(f"a function that no query of ours calls: {node['func']['name']}")


def _binary(node: Mapping[str, Any], known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    left, right = labels(node["lhs"], known), labels(node["rhs"], known)
    matching = node["matching"]
    if matching is None:  # a number on one side
        return left | right
    on = frozenset(matching["labels"])
    if matching["on"]:
        _are_there(on, left, f"{node['op']} on")
        _are_there(on, right, f"{node['op']} on")
    if node["op"] in SET_OPERATORS:
        return left
    if matching["card"] == "many-to-one":
        _are_there(matching["include"], right, "group_left")
        return left | frozenset(matching["include"])
    return on if matching["on"] else left & right


def _are_there(wanted: Any, there: frozenset[str], where: str) -> None:
    missing = frozenset(wanted) - there
    if missing:
        raise UnknownError(f"{where}: no label {', '.join(sorted(missing))}; there are {', '.join(sorted(there))}")
