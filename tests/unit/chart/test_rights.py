"""Holding rights against an audit log: what is granted and not used is named, and so is what was refused."""

from typing import Any

from support.chart_rights import Right, denied, granted, unused, used

SYSTEM = "system"
PATCHED = Right("media", "apps", "deployments/scale", "patch", "image")


def role(kind: str, *rules: dict[str, Any], namespace: str = "") -> list[dict[str, Any]]:
    """A role with its binding to the account `operator`."""
    meta = {"name": "operator"} | ({"namespace": namespace} if namespace else {})
    subjects = [{"kind": "ServiceAccount", "name": "operator", "namespace": SYSTEM}]
    ref = {"kind": kind, "name": "operator"}
    return [
        {"kind": kind, "metadata": meta, "rules": list(rules)},
        {"kind": f"{kind}Binding", "metadata": meta, "roleRef": ref, "subjects": subjects},
    ]


def rule(group: str, resource: str, *verbs: str, **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)} | more


def event(right: Right, *, code: int = 200, account: str = "operator") -> dict[str, Any]:
    """What the API server writes down of a request."""
    resource, _, part = right.resource.partition("/")
    ref = {"apiGroup": right.group, "resource": resource, "namespace": right.namespace, "name": right.name}
    return {
        "user": {"username": f"system:serviceaccount:{SYSTEM}:{account}"},
        "verb": right.verb,
        "objectRef": {key: value for key, value in (ref | {"subresource": part}).items() if value},
        "responseStatus": {"code": code},
    }


def test_a_verb_that_is_granted_and_never_used_is_named() -> None:
    grants = granted(
        role("ClusterRole", rule("apps", "deployments/scale", "get", "patch")), "operator", namespace=SYSTEM
    )
    found = unused(grants, used([event(PATCHED)], "operator", namespace=SYSTEM))
    assert found == ["get deployments/scale.apps in all namespaces"]


def test_a_right_in_one_namespace_is_not_used_by_what_happens_in_another() -> None:
    objects = role("Role", rule("apps", "deployments/scale", "patch"), namespace="elsewhere")
    grants = granted(objects, "operator", namespace=SYSTEM)
    assert unused(grants, used([event(PATCHED)], "operator", namespace=SYSTEM))


def test_a_right_on_one_name_is_not_used_by_what_happens_to_another() -> None:
    objects = role("Role", rule("apps", "deployments/scale", "patch", resourceNames=["other"]), namespace="media")
    grants = granted(objects, "operator", namespace=SYSTEM)
    assert unused(grants, used([event(PATCHED)], "operator", namespace=SYSTEM))


def test_what_somebody_else_does_uses_nothing() -> None:
    grants = granted(role("ClusterRole", rule("apps", "deployments/scale", "patch")), "operator", namespace=SYSTEM)
    assert unused(grants, used([event(PATCHED, account="flags")], "operator", namespace=SYSTEM))


def test_an_apply_that_makes_an_object_used_create_too() -> None:
    flag = Right("media", "core.openfeature.dev", "featureflags", "patch", "brownout")
    made = used([event(flag, code=201)], "operator", namespace=SYSTEM)
    assert made == {flag, flag._replace(verb="create")}


def test_what_was_refused_is_not_used_and_is_told() -> None:
    asked = [event(PATCHED, code=403)]
    assert used(asked, "operator", namespace=SYSTEM) == set()
    assert denied(asked, "operator", namespace=SYSTEM) == {PATCHED}
