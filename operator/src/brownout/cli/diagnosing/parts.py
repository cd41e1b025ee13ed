"""The parts of a bundle that come from the API server: versions, definitions, objects and what they decided, GPUs."""

import platform
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from brownout.api.resources import RESOURCES
from brownout.api.schema import GROUP, VERSION
from brownout.cli.cluster import decoded
from brownout.cli.diagnosing.api import Api, RefusedError
from brownout.cli.diagnosing.bundle import Bundle
from brownout.cli.diagnosing.found import Body, Found
from brownout.cli.output import document


class Asked(Struct, frozen=True, kw_only=True):
    """What to gather: of a namespace (None: of all), not older than so many seconds.

    operator_namespace: where our processes are looked for if they may not be looked for everywhere.
    """

    namespace: str | None
    since_seconds: float
    operator_namespace: str
    prometheus_url: str = ""


class Gathering(Struct, frozen=True, kw_only=True):
    """What every part works with."""

    api: Api
    asked: Asked
    found: Found
    bundle: Bundle

    def lacking(self, part: str, error: Exception) -> None:
        """What could not be had."""
        self.found.errors.append(f"{part}: {error or type(error).__name__}")


Part = Callable[[Gathering], Awaitable[None]]


async def versions(to: Gathering) -> None:
    """Of this command, Python and the API server."""
    server: dict[str, Any] = await to.api.get("/version")
    to.found.server_version = str(server.get("gitVersion", ""))
    own = {"brownout": to.found.cli_version, "python": platform.python_version(), "apiServer": server}
    to.bundle.text("versions.yaml", document(own, "yaml"))


async def definitions(to: Gathering) -> None:
    """Our kinds as the API server knows them; None for one that it does not."""
    kept = []
    for resource in RESOURCES:
        name = f"{resource.plural}.{GROUP}"
        try:
            body = await to.api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        except RefusedError as error:
            if error.status != 404:  # what is refused for one is for all
                to.lacking("definitions", error)
                break
            to.found.definitions[name] = None
            continue
        to.found.definitions[name] = body
        kept.append(body)
    to.bundle.objects("definitions.yaml", kept)


async def objects(to: Gathering) -> None:
    """Ours, with their status. One kind that may not be read costs no other."""
    asked, found = to.asked, to.found
    for resource in RESOURCES:
        scoped = f"namespaces/{asked.namespace}/" if asked.namespace is not None and resource.namespaced else ""
        try:
            bodies = await to.api.list(f"/apis/{GROUP}/{VERSION}/{scoped}{resource.plural}")
        except RefusedError as error:
            to.lacking("objects", error)
            continue
        found.bodies[resource.kind] = bodies
        found.objects[resource.kind] = decoded(resource, bodies)


async def decisions(to: Gathering) -> None:
    """What `brownout status` and `brownout explain` say of these objects, and every decision that statuses remember."""
    from brownout.cli.explanation.chosen import Asked as AllThatIsShort
    from brownout.cli.explanation.chosen import explain
    from brownout.cli.explanation.seen import see
    from brownout.cli.explanation.text import text
    from brownout.cli.overview.model import overview
    from brownout.cli.overview.tables import page

    found = to.found
    for kind, bodies in sorted(found.bodies.items()):
        to.bundle.objects(f"objects/{kind.lower()}.yaml", bodies)
    shown = overview(found.objects, now=found.now)
    to.bundle.text("decisions/status.txt", page(shown, wide=True) + "\n")
    to.bundle.text("decisions/status.yaml", document(shown, "yaml") + "\n")
    seen = see(found.objects, now=found.now)
    everything = [AllThatIsShort(kind=kind) for kind in ("GPUPool", "InferenceScaler", "FeaturePolicy")]
    told = [one for asked in everything if found.bodies.get(asked.kind) for one in explain(seen, asked)]
    to.bundle.text("decisions/explain.txt", text(told) + "\n")
    to.bundle.text("decisions/history.txt", history(found))


def history(found: Found) -> str:
    """A line for each decision that statuses remember, in the order of time: changes of replicas, and what cells have had since when."""
    lines = [
        f"{one.get('at', '')}  InferenceScaler {_place(body)}: {one.get('fromReplicas')} -> {one.get('toReplicas')} replicas; "
        f"{_why(one.get('rule'), one.get('message'))}"
        for body in found.bodies.get("InferenceScaler", ())
        for one in (body.get("status") or {}).get("decisions") or ()
    ]
    lines += [
        f"{cell.get('since', '')}  FeaturePolicy {_place(body)} for {'/'.join(filter(None, (cell.get('tier'), cell.get('cohort'))))}: "
        f"{cell.get('variant')} {cell.get('percent', 100)} %; {_why(cell.get('reason'), cell.get('message'))}"
        for body in found.bodies.get("FeaturePolicy", ())
        for cell in (body.get("status") or {}).get("cells") or ()
    ]
    return "\n".join([*sorted(lines), ""])


def _place(body: Body) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


def _why(rule: str | None, message: str | None) -> str:
    return ": ".join(filter(None, (rule, message)))


async def gpus(to: Gathering) -> None:
    """Nodes with what pools count on them, without what is of no interest here; and quotas of the namespaces that are meant."""
    nodes = await to.api.list("/api/v1/nodes")
    to.bundle.objects("gpus/nodes.yaml", [_lean(node) for node in nodes])
    scoped = f"namespaces/{to.asked.namespace}/" if to.asked.namespace is not None else ""
    to.bundle.objects("gpus/resourcequotas.yaml", await to.api.list(f"/api/v1/{scoped}resourcequotas"))


def _lean(node: dict[str, Any]) -> dict[str, Any]:
    status = node.get("status") or {}
    return {
        "kind": "Node",
        "metadata": {key: node["metadata"].get(key) for key in ("name", "labels", "creationTimestamp")},
        "spec": {key: (node.get("spec") or {}).get(key) for key in ("taints", "unschedulable")},
        "status": {key: status.get(key) for key in ("capacity", "allocatable", "conditions")},
    }
