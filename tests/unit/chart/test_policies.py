"""Every rendering of the matrix keeps to every policy, and every policy complains where it is broken."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from support import chart_policies as policies
from support.chart import CASES, Manifest, manifests
from support.chart_policies import POLICIES, Policy, pods


@pytest.mark.parametrize("case", CASES)
def test_every_rendering_keeps_to_every_policy(case: str) -> None:
    complaints = [f"{policy.__name__}: {said}" for policy in POLICIES for said in policy(manifests(case))]
    assert complaints == []


def find(objects: list[Manifest], kind: str, component: str) -> Manifest:
    return next(
        one
        for one in objects
        if one["kind"] == kind and one["metadata"]["labels"].get("app.kubernetes.io/component") == component
    )


def container(objects: list[Manifest]) -> dict[str, Any]:
    found: dict[str, Any] = next(pods(objects))[1]["spec"]["containers"][0]
    return found


BROKEN: dict[Policy, Callable[[list[Manifest]], Any]] = {
    policies.images_are_pinned: lambda o: container(o).update(image="example/brownout:latest"),
    policies.resources_are_asked_for: lambda o: container(o)["resources"].pop("requests"),
    policies.roots_are_read_only: lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem"),
    policies.selectors_mean_their_own_pods: lambda o: find(o, "Deployment", "flags")["spec"]["selector"][
        "matchLabels"
    ].pop("app.kubernetes.io/component"),
    policies.services_lead_to_ports: lambda o: find(o, "Service", "flags")["spec"]["ports"][0].update(targetPort=80),
    policies.sync_stays_inside: lambda o: find(o, "Service", "flags")["spec"].update(type="LoadBalancer"),
    policies.budgets_leave_a_way_out: lambda o: find(o, "Deployment", "flags")["spec"].update(replicas=1),
    policies.several_replicas_have_a_budget_and_are_spread: lambda o: o.remove(find(o, "PodDisruptionBudget", "flags")),
    policies.network_policies_open_what_listens: lambda o: find(o, "NetworkPolicy", "flags")["spec"]["ingress"][0][
        "ports"
    ].pop(),
    policies.tokens_go_to_those_who_have_rights: lambda o: find(o, "Pod", "test")["spec"].update(
        automountServiceAccountToken=True
    ),
    policies.every_role_has_a_binding: lambda o: o.remove(find(o, "ClusterRoleBinding", "flags")),
    policies.nothing_is_granted_wholesale: lambda o: find(o, "ClusterRole", "flags")["rules"][0].update(verbs=["*"]),
    policies.objects_are_named_once: lambda o: o.append(o[0]),
}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_a_policy_complains_where_it_is_broken(policy: Policy) -> None:
    objects = copy.deepcopy(manifests("as it is"))
    assert list(policy(objects)) == []
    BROKEN[policy](objects)
    assert list(policy(objects))
