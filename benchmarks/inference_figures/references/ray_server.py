"""Ray Serve with dynamic batching (`@serve.batch`), as its documentation shows it.

python ray_server.py PORT BATCH
"""

import signal
import sys
from typing import Any

import ray
from pictures import Pictures, answer
from ray import serve
from starlette.requests import Request

BATCH = int(sys.argv[2])


@serve.deployment(max_ongoing_requests=10_000, ray_actor_options={"num_cpus": 1})
class Images:
    """One replica."""

    def __init__(self) -> None:
        self.pictures = Pictures()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.01)
    async def generate(self, prompts: list[str]) -> list[bytes]:
        return self.pictures(prompts)

    async def __call__(self, request: Request) -> Any:
        if request.url.path.endswith("/health"):
            return "ok"
        body = await request.json()
        return answer(await self.generate(body["prompt"]))


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Images.bind(), route_prefix="/")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
