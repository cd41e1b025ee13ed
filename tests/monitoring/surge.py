"""Every program for real in a surge, scraped by a Prometheus of its own as the docs say: honor_labels, and a target's own labels."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from brownout.api.schema import API_VERSION
from brownout_localcluster import LocalCluster
from flags.process import FlagServer, flag_server
from inference.server_process import Client, ServerProcess
from support.cluster import Namespace
from support.operator import Operator
from support.operator_world import FEATURE, World, calm_world, override
from support.prometheus import Remembering, prometheus

HOME = "brownout-system"
CHAT = {"messages": [{"role": "user", "content": "The import statement"}], "max_tokens": 8}
UNTIL = "2999-01-01T00:00:00Z"


@dataclass(frozen=True)
class Surge:
    """What runs, and what Prometheus has seen of it."""

    world: World
    flags: FlagServer
    image: ServerProcess
    chat: ServerProcess
    seen: Remembering

    async def ask(self) -> None:
        """Requests of all kinds: more images than two places take, a text, evaluations, a quota."""
        async with aiohttp.ClientSession() as session:
            image, chat = Client(self.image, session), Client(self.chat, session)
            await image.until_ready()
            await chat.until_ready()
            answers = [
                image.image(plan, headers={"X-Brownout-User": f"u{n}"}) for n in range(6) for plan in ("pro", "free")
            ]
            texts = [chat.post("/v1/chat/completions", CHAT)]
            await asyncio.gather(*answers, *texts)
        context = {"context": {"targetingKey": "u1", "plan": "pro"}}
        self.flags.ask(f"/{self.world.namespace.name}/ofrep/v1/evaluate/flags", context)
        self.flags.ask(f"/{self.world.namespace.name}/v1/quota/{FEATURE}/reserve", context)

    def answer(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers now."""
        found: list[dict[str, Any]] = self.seen.get("query", query=query)["result"]
        return found


@contextmanager
def surge(cluster: LocalCluster, namespace: Namespace, folder: Path) -> Iterator[Surge]:
    """A world in which free users ask for five times of what there is, with everything that reads it and tells of it."""
    with ExitStack() as stack:
        world = stack.enter_context(calm_world(cluster, namespace))
        pro, free = world.policy()["spec"]["tiers"]
        quota = {"limit": 1000, "period": "Day"}
        tiers = [pro | {"quota": quota}, free | {"quota": quota}]
        namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": {"tiers": tiers}})
        waiting = {"name": "queue", "role": "Backlog", "query": f'sum(waiting{{namespace="{namespace.name}"}})'}
        namespace.patch(API_VERSION, "InferenceScaler", "image", {"spec": {"metrics": [waiting]}})
        namespace.create(world.policy("stickers", demand=world.policy()["spec"]["demand"]))
        stack.enter_context(world.added(override("incident", "denied", until=UNTIL) | _of("stickers")))
        operator = stack.enter_context(Operator(cluster, namespace.name, folder))
        flags = stack.enter_context(
            flag_server(kubeconfig=cluster.kubeconfig, snapshot_dir=folder / "flags", namespaces=[namespace.name])
        )
        image = _server(stack, folder, flags, namespace, "image", "image", FEATURE)
        chat = _server(stack, folder, flags, namespace, "chat", "language", "chat")
        targets = {
            "operator": (HOME, operator.url),
            "flags": (HOME, flags.url),
            "image": (namespace.name, f"http://127.0.0.1:{image.port}"),
            "chat": (namespace.name, f"http://127.0.0.1:{chat.port}"),
        }
        (folder / "prometheus").mkdir()
        seen = stack.enter_context(prometheus(folder / "prometheus", configuration=_scraping(targets)))
        world.set_load(pro=2, free=20, extra="waiting 3")
        yield Surge(world, flags, image, chat, seen)


def _of(policy: str) -> dict[str, Any]:
    made = override("incident", "denied", until=UNTIL)
    return {"spec": made["spec"] | {"policyRef": {"name": policy}}}


def _server(
    stack: ExitStack, folder: Path, flags: FlagServer, namespace: Namespace, workload: str, model: str, feature: str
) -> ServerProcess:
    words = ["--workload", workload, "--model", model, "--features", feature, "--queue-places", "2"]
    words += ["--flags-selector", namespace.name, "--quota-url", f"{flags.url}/{namespace.name}"]
    server = ServerProcess(folder / f"{workload}.log", *words, flags_port=flags.grpc_port)
    stack.callback(server.close)
    return server


def _scraping(targets: dict[str, tuple[str, str]]) -> str:
    """A configuration that scrapes each target by its job, with the labels that a discovery of pods gives."""
    jobs = [
        f"- job_name: {job}\n"
        "  honor_labels: true\n"
        "  static_configs:\n"
        f"  - targets: [{url.removeprefix('http://')}]\n"
        f"    labels: {{namespace: {namespace}, pod: {job}-0}}\n"
        for job, (namespace, url) in targets.items()
    ]
    return "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n" + "".join(jobs)
