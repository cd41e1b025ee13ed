"""Who may do what: the processes' ServiceAccounts what they need, and the caller what this command needs.

The API server is asked, by reviews of access; nobody's roles are read. Asking about others needs `create` on
`subjectaccessreviews`, which administrators have; about oneself everybody may ask.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from brownout.api.resources import RESOURCES, Stored
from brownout.api.schema import GROUP
from brownout.cli.diagnosing.api import RefusedError
from brownout.cli.diagnosing.found import Found, Process, Right
from brownout.cli.diagnosing.parts import Gathering
from brownout.cli.diagnosing.workloads import namespaces
from brownout.observe.watch import KINDS

API = "/apis/authorization.k8s.io/v1"
OURS = tuple(resource.plural for resource in RESOURCES)
SCALABLE = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


class Needed(NamedTuple):
    """A verb on a resource; `namespace` "" means in all of them."""

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


async def rights(to: Gathering) -> None:
    """Ask, and write them down as `kubectl auth can-i` would answer."""
    try:
        await _of_everybody(to)
    finally:  # also where time is up
        words = {True: "yes", False: "no", None: "not known"}
        lines = [f"{words[one.allowed]:<10}{one.who}: {one.deed}" for one in to.found.rights]
        to.bundle.text("rights.txt", "\n".join([*lines, ""]))


async def _of_everybody(to: Gathering) -> None:
    found = to.found
    for need in of_the_caller(found, to.asked.namespace):
        await _ask(to, "you", need, "SelfSubjectAccessReview", {})
    accounts = {account(process): process for process in found.processes}
    for (namespace, name), process in sorted(accounts.items()):
        groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        who = {"user": f"system:serviceaccount:{namespace}:{name}", "groups": groups}
        if process.component == "operator":
            needed = of_the_operator(found, process)
        elif process.component == "flags":
            needed = of_the_flag_servers(process)
        else:
            continue
        for need in needed:
            await _ask(to, f"{process.component} ({namespace}/{name})", need, "SubjectAccessReview", who)


def account(process: Process) -> tuple[str, str]:
    """The namespace and name of a pod's ServiceAccount."""
    return process.pod["metadata"]["namespace"], process.pod["spec"].get("serviceAccountName") or "default"


def of_the_operator(found: Found, process: Process) -> Iterator[Needed]:
    """What this operator cannot do without, for the workloads that there are, in the namespaces that it was told to watch."""
    watched = tuple(process.option("--watch-namespaces"))
    everywhere = watched or ("",)
    for kind in KINDS:
        if not kind.optional:
            for namespace in kind.within(watched).namespaces or ("",):
                yield from (Needed(verb, kind.group, kind.plural, namespace) for verb in ("list", "watch"))
    for resource in RESOURCES:
        for namespace in everywhere if resource.namespaced else ("",):
            yield Needed("patch", GROUP, f"{resource.plural}/status", namespace)
    refs = {one.spec.scale_target_ref for one in found.objects.get("InferenceScaler", ()) if isinstance(one, Stored)}
    for plural in sorted({SCALABLE[ref.kind] for ref in refs if ref.kind in SCALABLE}):
        for namespace in everywhere:
            yield from (Needed(verb, "apps", f"{plural}/scale", namespace) for verb in ("get", "patch"))
    yield from (Needed("create", "events.k8s.io", "events", namespace) for namespace in everywhere)
    own_namespace, _ = account(process)
    pools = (one for one in found.objects.get("GPUPool", ()) if isinstance(one, Stored))
    if any(pool.spec.prometheus.secret_ref for pool in pools):
        yield Needed("get", "", "secrets", own_namespace)
    if process.has("--leader-elect"):
        yield from (
            Needed(verb, "coordination.k8s.io", "leases", own_namespace) for verb in ("get", "create", "update")
        )


def of_the_flag_servers(process: Process) -> Iterator[Needed]:
    """What the data plane reads, in the namespaces that it was told to serve."""
    for plural in OURS:
        if plural != "gpupools":  # for the console alone
            for namespace in process.option("--namespace") or ("",):
                yield from (Needed(verb, GROUP, plural, namespace) for verb in ("list", "watch"))


def of_the_caller(found: Found, namespace: str | None) -> Iterator[Needed]:
    """What a whole bundle takes."""
    yield Needed("list", GROUP, "gpupools")
    yield from (Needed("list", GROUP, plural, namespace or "") for plural in OURS if plural != "gpupools")
    yield Needed("get", "apiextensions.k8s.io", "customresourcedefinitions")
    yield Needed("list", "", "nodes")
    for where in sorted({account(process)[0] for process in found.processes}):
        yield Needed("list", "", "pods", where)
        yield Needed("get", "", "pods/log", where)
        yield Needed("get", "", "pods/proxy", where)
    for where in sorted(namespaces(found)):
        yield Needed("list", "", "pods", where)
        yield Needed("list", "events.k8s.io", "events", where)
        yield Needed("list", "autoscaling", "horizontalpodautoscalers", where)
    yield Needed("create", "authorization.k8s.io", "subjectaccessreviews")


async def _ask(to: Gathering, who: str, need: Needed, review: str, subject: dict[str, Any]) -> None:
    resource, _, part = need.resource.partition("/")
    attributes = {"verb": need.verb, "group": need.group, "resource": resource, "namespace": need.namespace}
    attributes |= {"subresource": part} if part else {}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": review,
        "spec": {"resourceAttributes": attributes, **subject},
    }
    allowed: bool | None
    try:
        allowed = bool((await to.api.post(f"{API}/{review.lower()}s", body))["status"].get("allowed"))
    except RefusedError as error:
        allowed = None
        if not any(one.who == who and one.allowed is None for one in to.found.rights):
            to.lacking("rights", error)
    to.found.rights.append(Right(who, need.verb, str(need), allowed, need.namespace))
