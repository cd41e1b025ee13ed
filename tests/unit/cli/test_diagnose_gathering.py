"""Gathering within a time: what hangs costs itself and a line, whatever answers is kept."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from brownout.cli.diagnosing.findings import findings
from brownout.cli.diagnosing.found import Found
from brownout.cli.diagnosing.gathering import gather
from brownout.cli.diagnosing.parts import Asked
from brownout.cli.diagnosing.summary import summary
from support.web_app import on_loopback

ASKED = Asked(namespace="media", since_seconds=60.0, operator_namespace="brownout-system")
OURS = "/apis/brownout.dev/v1alpha1"


@asynccontextmanager
async def server(answers: dict[str, object]) -> AsyncIterator[ApiClient]:
    """An HTTP server that has these answers by path, and answers nothing else; and a client of it. No Kubernetes: only its silence."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path not in answers:
            await asyncio.sleep(30)
        return web.Response(text=json.dumps(answers[request.path]), content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    configuration = Configuration()
    async with on_loopback(application, shutdown_seconds=0.1) as configuration.host:
        client = ApiClient(configuration)
        try:
            yield client
        finally:
            await client.close()


async def test_an_api_server_that_says_nothing_costs_a_bounded_time_and_a_line_for_each_part() -> None:
    began = time.monotonic()
    async with server({}) as client:
        found, _ = await gather(client, ASKED, cli_version="1", part_seconds=0.3)
    assert time.monotonic() - began < 10
    assert "objects: not within 0.3 s; what came before is kept" in found.errors
    assert "versions: not within 0.3 s; what came before is kept" in found.errors
    assert "could not be had" in summary(found, findings(found), where="here")


async def test_what_came_before_the_silence_is_kept() -> None:
    pool = {"metadata": {"name": "h100", "generation": 1}, "spec": {"capacity": {"gpus": 8}}}
    listed = {"apiVersion": "brownout.dev/v1alpha1", "kind": "GPUPoolList", "metadata": {}, "items": [pool]}
    async with server({f"{OURS}/gpupools": listed, "/version": {"gitVersion": "v1.36.3"}}) as client:
        found, bundle = await gather(client, ASKED, cli_version="1", part_seconds=0.5)
    assert found.server_version == "v1.36.3"
    assert [one.key.name for one in found.objects["GPUPool"]] == ["h100"]
    assert b"h100" in bundle.files["decisions/status.txt"]
    assert b"h100" in bundle.files["objects/gpupool.yaml"]
    assert "rights.txt" in bundle.files


async def test_an_answer_that_nobody_expects_costs_its_part_alone() -> None:
    async with server({f"{OURS}/gpupools": [1, 2], "/version": {"gitVersion": "v1.36.3"}}) as client:
        found, _ = await gather(client, ASKED, cli_version="1", part_seconds=0.5)
    assert isinstance(found, Found)
    assert found.server_version == "v1.36.3"
    assert any(error.startswith("objects: AttributeError") for error in found.errors), found.errors
