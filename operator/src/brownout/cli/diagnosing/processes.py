"""Our processes: their pods and Deployments, what they log, and what they measure.

Metrics come by way of the API server, which needs `get` on `pods/proxy`; where that is not to be had, from the pod's own
address, which serves whoever runs this inside the cluster.
"""

import asyncio
from itertools import chain

import aiohttp

from brownout.cli.diagnosing.api import RefusedError
from brownout.cli.diagnosing.found import Process
from brownout.cli.diagnosing.parts import Gathering

SELECTOR = "app.kubernetes.io/name=brownout"
MOST_PODS = 30
MOST_BYTES_OF_A_LOG = 2_000_000
MOST_BYTES_OF_METRICS = 2_000_000
DIRECT_SECONDS = 3.0


async def processes(to: Gathering) -> None:
    """Pods of the operator and of the flag servers, wherever they are, or in the namespace that was named."""
    try:
        pods = await to.api.list("/api/v1/pods", labelSelector=SELECTOR)
        of = "/apis/apps/v1/deployments"
    except RefusedError:
        within = f"namespaces/{to.asked.operator_namespace}"
        pods = await to.api.list(f"/api/v1/{within}/pods", labelSelector=SELECTOR)
        of = f"/apis/apps/v1/{within}/deployments"
    to.found.looked_for_processes = True
    if len(pods) > MOST_PODS:
        to.found.errors.append(f"processes: {len(pods)} pods; the first {MOST_PODS} are looked at")
    to.found.processes = [
        Process(component=pod["metadata"]["labels"].get("app.kubernetes.io/component", ""), pod=pod)
        for pod in pods[:MOST_PODS]
    ]
    to.bundle.objects("processes/pods.yaml", pods[:MOST_PODS])
    try:
        to.bundle.objects("processes/deployments.yaml", await to.api.list(of, labelSelector=SELECTOR))
    except RefusedError as error:
        to.lacking("processes", error)
    found = to.found.processes
    await asyncio.gather(*chain((_metrics(to, one) for one in found), (_logs(to, one) for one in found)))


async def _metrics(to: Gathering, process: Process) -> None:
    namespace, name = process.name.split("/")
    path = f"/api/v1/namespaces/{namespace}/pods/{name}:{process.port}/proxy/metrics"
    try:
        process.metrics = await to.api.text(path, most_bytes=MOST_BYTES_OF_METRICS)
    except RefusedError as error:
        process.metrics = await _directly(process)
        if process.metrics is None:
            to.lacking("metrics", error)
            return
    to.bundle.text(f"metrics/{namespace}.{name}.txt", process.metrics)


async def _directly(process: Process) -> str | None:
    address = (process.pod.get("status") or {}).get("podIP")
    if not address:
        return None
    host = f"[{address}]" if ":" in address else address
    timeout = aiohttp.ClientTimeout(total=DIRECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:{process.port}/metrics", allow_redirects=False) as response,
        ):
            body = await response.content.read(MOST_BYTES_OF_METRICS)
            return body.decode(errors="replace") if response.status == 200 else None
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None


async def _logs(to: Gathering, process: Process) -> None:
    """Of each container, and of the one before it where it was restarted."""
    namespace, name = process.name.split("/")
    restarted = {one["name"] for one in process.statuses if one.get("restartCount")}
    for container in process.pod["spec"]["containers"]:
        for previous in (False, True) if container["name"] in restarted else (False,):
            query = {"container": container["name"], "timestamps": "true", "limitBytes": str(MOST_BYTES_OF_A_LOG)}
            query |= {"sinceSeconds": str(int(to.asked.since_seconds))} if not previous else {}
            query |= {"previous": "true", "tailLines": "5000"} if previous else {}
            try:
                text = await to.api.text(
                    f"/api/v1/namespaces/{namespace}/pods/{name}/log", most_bytes=MOST_BYTES_OF_A_LOG, **query
                )
            except RefusedError as error:
                to.lacking("logs", error)
                continue
            suffix = ".previous" if previous else ""
            to.bundle.text(f"logs/{namespace}.{name}.{container['name']}{suffix}.log", text)
