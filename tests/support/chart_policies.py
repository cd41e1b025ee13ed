"""What every rendering of the chart has to keep to. Each policy is a function from all objects of one to sentences of complaint."""

from collections.abc import Callable, Iterator
from typing import Any

from support.chart import Manifest, pod_of

SYNC = 8015
Policy = Callable[[list[Manifest]], Iterator[str]]


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def pods(objects: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Each object that makes pods, with what it makes."""
    for one in objects:
        if pod := pod_of(one):
            yield one, pod


def namespace_of(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", ""))


def selected(objects: list[Manifest], selector: dict[str, str], namespace: str) -> list[Manifest]:
    """The objects whose pods a selector in a namespace means."""
    return [
        one
        for one, pod in pods(objects)
        if namespace_of(one) == namespace and selector.items() <= pod["metadata"]["labels"].items()
    ]


def images_are_pinned(objects: list[Manifest]) -> Iterator[str]:
    for one, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            name, _, tag = container["image"].rpartition("/")[2].partition(":")
            if not tag or tag == "latest":
                yield f"{name_of(one)}: {container['image']} is not pinned: {name or 'an image'} has no tag of its own"


def resources_are_asked_for(objects: list[Manifest]) -> Iterator[str]:
    for one, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            missing = {"cpu", "memory"} - set(container.get("resources", {}).get("requests", {}))
            if missing:
                yield f"{name_of(one)}: no request of {', '.join(sorted(missing))}"


def roots_are_read_only(objects: list[Manifest]) -> Iterator[str]:
    """The one part of the security context that the restricted standard does not ask for; the rest the API server judges."""
    for one, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
                yield f"{name_of(one)}: its root can be written"


def selectors_mean_their_own_pods(objects: list[Manifest]) -> Iterator[str]:
    for one, pod in pods(objects):
        if one["kind"] == "Pod":
            continue
        selector = one["spec"]["selector"]["matchLabels"]
        if not selector.items() <= pod["metadata"]["labels"].items():
            yield f"{name_of(one)}: its selector does not mean its pods"
        if selected(objects, selector, namespace_of(one)) != [one]:
            yield f"{name_of(one)}: its selector means other pods"


def services_lead_to_ports(objects: list[Manifest]) -> Iterator[str]:
    for service in objects:
        if service["kind"] != "Service":
            continue
        behind = selected(objects, service["spec"]["selector"], namespace_of(service))
        if len(behind) != 1:
            yield f"{name_of(service)}: leads to {len(behind)} workloads"
            continue
        open_ports = _container_ports(behind[0])
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in open_ports:
                yield f"{name_of(service)}: no container listens on {port['targetPort']}"


def sync_stays_inside(objects: list[Manifest]) -> Iterator[str]:
    """flagd sync hands out whole sets and asks nobody who they are."""
    for service in objects:
        if service["kind"] != "Service" or service["spec"].get("type", "ClusterIP") == "ClusterIP":
            continue
        if any(port["targetPort"] == SYNC for port in service["spec"]["ports"]):
            yield f"{name_of(service)}: shows {SYNC} to the outside"


def budgets_leave_a_way_out(objects: list[Manifest]) -> Iterator[str]:
    """Never a single replica without a way to drain its node. No number of replicas is the autoscaler's to say."""
    for budget in objects:
        if budget["kind"] != "PodDisruptionBudget":
            continue
        spec = budget["spec"]
        guarded = selected(objects, spec["selector"]["matchLabels"], namespace_of(budget))
        if len(guarded) != 1:
            yield f"{name_of(budget)}: guards {len(guarded)} workloads"
        if "minAvailable" in spec or spec["maxUnavailable"] in (0, "0%"):
            yield f"{name_of(budget)}: may block a drain for ever"
        for one in guarded:
            if one["spec"].get("replicas", 2) < 2:
                yield f"{name_of(budget)}: guards a single pod"


def several_replicas_have_a_budget_and_are_spread(objects: list[Manifest]) -> Iterator[str]:
    budgets = [one["spec"]["selector"]["matchLabels"] for one in objects if one["kind"] == "PodDisruptionBudget"]
    for one, pod in pods(objects):
        if one["kind"] != "Deployment" or one["spec"].get("replicas", 1) < 2 or _component(one) == "inference":
            continue
        if one["spec"]["selector"]["matchLabels"] not in budgets:
            yield f"{name_of(one)}: has several replicas and no budget"
        spread = pod["spec"].get("topologySpreadConstraints", [])
        if not spread or any(s["labelSelector"] != one["spec"]["selector"] for s in spread):
            yield f"{name_of(one)}: has several replicas that are not spread"


def network_policies_open_what_listens(objects: list[Manifest]) -> Iterator[str]:
    for policy in objects:
        if policy["kind"] != "NetworkPolicy":
            continue
        behind = selected(objects, policy["spec"]["podSelector"]["matchLabels"], namespace_of(policy))
        if len(behind) != 1:
            yield f"{name_of(policy)}: means {len(behind)} workloads"
            continue
        opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        if opened != _container_ports(behind[0]):
            yield f"{name_of(policy)}: opens {sorted(opened)}, and {name_of(behind[0])} listens on other ports"


def tokens_go_to_those_who_have_rights(objects: list[Manifest]) -> Iterator[str]:
    accounts = {
        (subject["namespace"], subject["name"])
        for one in objects
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in one["subjects"]
    }
    for one in objects:
        if one["kind"] == "ServiceAccount" and one.get("automountServiceAccountToken") is not False:
            yield f"{name_of(one)}: hands its token to every pod"
    for one, pod in pods(objects):
        mounts = pod["spec"]["automountServiceAccountToken"]
        account = (namespace_of(one), pod["spec"].get("serviceAccountName", "default"))
        if accounts and mounts != (account in accounts):
            yield f"{name_of(one)}: {'has a token without rights' if mounts else 'has rights without a token'}"


def every_role_has_a_binding(objects: list[Manifest]) -> Iterator[str]:
    roles = {
        (one["kind"], namespace_of(one), one["metadata"]["name"]) for one in objects if one["kind"].endswith("Role")
    }
    bound = set()
    for one in objects:
        if one["kind"].endswith("RoleBinding"):
            ref = one["roleRef"]
            bound.add((ref["kind"], namespace_of(one) if ref["kind"] == "Role" else "", ref["name"]))
    for kind, namespace, name in sorted(roles ^ bound):
        if not name.startswith("brownout-") or name.split("-", 1)[1] not in ("view", "edit", "override"):
            yield f"{kind} {namespace}/{name}: is not bound, or bound and not there"


def nothing_is_granted_wholesale(objects: list[Manifest]) -> Iterator[str]:
    for one in objects:
        if not one["kind"].endswith("Role"):
            continue
        for rule in one["rules"]:
            if "*" in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]:
                yield f"{name_of(one)}: grants *"
            if "secrets" in rule["resources"] and (one["kind"] == "ClusterRole" or rule["verbs"] != ["get"]):
                yield f"{name_of(one)}: reads more Secrets than by name in its namespace"


def objects_are_named_once(objects: list[Manifest]) -> Iterator[str]:
    seen: set[tuple[Any, ...]] = set()
    for one in objects:
        key = (one["apiVersion"], one["kind"], namespace_of(one), one["metadata"]["name"])
        if key in seen:
            yield f"{name_of(one)}: is there twice"
        seen.add(key)


def _component(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"]["app.kubernetes.io/component"])


def _container_ports(manifest: Manifest) -> set[int]:
    pod = pod_of(manifest)
    assert pod is not None
    return {port["containerPort"] for container in pod["spec"]["containers"] for port in container.get("ports", ())}


POLICIES: tuple[Policy, ...] = (
    images_are_pinned,
    resources_are_asked_for,
    roots_are_read_only,
    selectors_mean_their_own_pods,
    services_lead_to_ports,
    sync_stays_inside,
    budgets_leave_a_way_out,
    several_replicas_have_a_budget_and_are_spread,
    network_policies_open_what_listens,
    tokens_go_to_those_who_have_rights,
    every_role_has_a_binding,
    nothing_is_granted_wholesale,
    objects_are_named_once,
)
