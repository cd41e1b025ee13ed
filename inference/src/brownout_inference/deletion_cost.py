"""Tells the ReplicaSet controller which replicas are idlest, so that a scale-down takes those.

Opt-in. The pod's own annotation `controller.kubernetes.io/pod-deletion-cost` follows how many requests wait and run here; of pods that are equal otherwise the
controller deletes those with the lowest cost first. Its documentation asks not to write it often, so it is written when the number has changed,
and at most once in `every` seconds. Nothing here can harm serving: what goes wrong is logged once and tried again.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
JITTER = 0.2
"""Part of it by which replicas differ, so that they do not all write at once."""
TIMEOUT_SECONDS = 5.0


class DeletionCost:
    """Keeps the annotation of one pod.

    The pod's ServiceAccount needs the verb `patch` on `pods` in its namespace; the API server is found as every client in a pod finds it, or by KUBECONFIG.
    """

    def __init__(self, *, pod: str, namespace: str, requests: Callable[[], int], every: float) -> None:
        self._pod = pod
        self._namespace = namespace
        self._requests = requests
        self._every = every
        self._written: int | None = None
        self._complained = False
        self._api: Any = None

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            cost = self._requests()
            if cost != self._written:
                await self._try_to_write(cost)
            await asyncio.sleep(self._every * random.uniform(1 - JITTER, 1 + JITTER))

    async def _try_to_write(self, cost: int) -> None:
        try:
            await asyncio.to_thread(self._write, cost)
        except Exception as error:
            if not self._complained:
                log.warning(
                    "pod %s/%s: %s was not written, so a scale-down may take a busy replica: %s",
                    self._namespace,
                    self._pod,
                    ANNOTATION,
                    error,
                )
            self._complained = True
            return
        self._written, self._complained = cost, False

    def _write(self, cost: int) -> None:
        if self._api is None:
            self._api = _connect()
        self._api.patch_namespaced_pod(
            self._pod,
            self._namespace,
            {"metadata": {"annotations": {ANNOTATION: str(cost)}}},
            _request_timeout=TIMEOUT_SECONDS,
        )


def _connect() -> Any:
    """Imports the client only where it is used: it takes half a second and 35 MB."""
    from kubernetes import client, config

    config.load_config()
    return client.CoreV1Api()
