"""All parts, run together within a time: the first ones find what the others look at."""

import asyncio
import time

from kubernetes.aio.client import ApiClient

from brownout.cli.diagnosing.api import Api, RefusedError
from brownout.cli.diagnosing.bundle import Bundle
from brownout.cli.diagnosing.found import Found
from brownout.cli.diagnosing.parts import Asked, Gathering, Part, decisions, definitions, gpus, objects, versions
from brownout.cli.diagnosing.processes import processes
from brownout.cli.diagnosing.queries import queries
from brownout.cli.diagnosing.redaction import Redactor, users_of
from brownout.cli.diagnosing.rights import rights
from brownout.cli.diagnosing.workloads import workloads

PART_SECONDS = 30.0

KNOWN_FIRST: tuple[Part, ...] = (objects,)
TOGETHER: tuple[Part, ...] = (versions, definitions, decisions, gpus, processes, workloads, queries)
AFTERWARDS: tuple[Part, ...] = (rights,)


async def gather(
    client: ApiClient, asked: Asked, *, cli_version: str, part_seconds: float = PART_SECONDS
) -> tuple[Found, Bundle]:
    """Everything that can be had. A part that fails, or takes too long, leaves a sentence behind; never raises for one."""
    found = Found(now=time.time(), cli_version=cli_version)
    nothing = Bundle(Redactor())
    await _run(KNOWN_FIRST, Gathering(api=Api(client), asked=asked, found=found, bundle=nothing), part_seconds)
    bundle = Bundle(Redactor(users_of(found.bodies.get("FeaturePolicy", ()))))
    to = Gathering(api=Api(client), asked=asked, found=found, bundle=bundle)
    for parts in (TOGETHER, AFTERWARDS):
        await _run(parts, to, part_seconds)
    return found, bundle


async def _run(parts: tuple[Part, ...], to: Gathering, seconds: float) -> None:
    await asyncio.gather(*(_one(part, to, seconds) for part in parts))


async def _one(part: Part, to: Gathering, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await part(to)
    except TimeoutError:
        to.lacking(part.__name__, TimeoutError(f"not within {seconds:g} s; what came before is kept"))
    except RefusedError as error:
        to.lacking(part.__name__, error)
    except Exception as error:  # the bundle is wanted most when something is as nobody expected
        to.lacking(part.__name__, RuntimeError(f"{type(error).__name__}: {error}"))
