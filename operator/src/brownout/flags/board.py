"""The sets that are being served: one writer, any number of readers, each of whom sees the newest and never a backlog."""

import asyncio
from collections import defaultdict

from brownout.flags.evaluate import Evaluator
from brownout.flags.render import FlagSet
from brownout.flags.waves import Waves


class Board:
    """The newest evaluator of each namespace, and ways to wait for a newer one.

    complete: the namespaces are known, from a snapshot or from the API server. Before that an unknown namespace may yet come.
    """

    def __init__(self) -> None:
        self.complete = False
        self._evaluators: dict[str, Evaluator] = {}
        self._changed = asyncio.Event()
        self._waves: defaultdict[str, Waves] = defaultdict(Waves)

    def publish(self, flag_set: FlagSet) -> bool:
        """Serve a set from now on. False where its content is what is served already."""
        served = self._evaluators.get(flag_set.namespace)
        if served is not None and served.flag_set.version == flag_set.version:
            return False
        self._evaluators[flag_set.namespace] = Evaluator(flag_set, before=served)
        self._wake(flag_set.namespace, "")
        return True

    def completed(self) -> None:
        """The namespaces are known from now on."""
        if not self.complete:
            self.complete = True
            self._wake(*self._waves)

    def get(self, namespace: str) -> Evaluator | None:
        return self._evaluators.get(namespace)

    def namespaces(self) -> list[str]:
        return sorted(self._evaluators)

    def versions(self) -> dict[str, str]:
        """The version of each set, by namespace."""
        return {namespace: evaluator.flag_set.version for namespace, evaluator in sorted(self._evaluators.items())}

    def only(self) -> str | None:
        """The namespace, where only one is served."""
        return next(iter(self._evaluators)) if len(self._evaluators) == 1 else None

    def change(self) -> asyncio.Event:
        """An event that is set at the next change of any set. Take it before looking, and nothing is missed."""
        return self._changed

    def waves(self, namespace: str = "") -> Waves:
        """Where many wait for a change of one namespace that is served, or without a name of any; also for `complete`."""
        return self._waves[namespace]

    def _wake(self, *namespaces: str) -> None:
        event, self._changed = self._changed, asyncio.Event()
        event.set()
        for namespace in namespaces:
            if namespace in self._waves:
                self._waves[namespace].wake()
