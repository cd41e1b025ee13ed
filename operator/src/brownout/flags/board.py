"""The sets that are being served: one writer, any number of readers, each of whom sees the newest and never a backlog."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from brownout.flags.evaluate import Evaluator
from brownout.flags.render import FlagSet
from brownout.flags.waves import Waves


class Board:
    """The newest evaluator of each namespace, and ways to wait for a newer one.

    Of the namespaces that are `awaited` nothing is known yet from the API server: they may come. An empty name stands for any.
    """

    def __init__(self, awaited: Iterable[str] = ("",)) -> None:
        self._awaited = dict.fromkeys(awaited, False)
        self._known = False
        self.withheld: frozenset[str] = frozenset()
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

    def asked_in_vain(self, namespace: str) -> None:
        """The API server was asked for what is awaited, and does not say it."""
        if self._awaited.get(namespace) is False:
            self._awaited[namespace] = True
            self._wake(*self._waves)

    def withhold(self, namespaces: Iterable[str]) -> None:
        """Of these, and no others, nothing is served because an object cannot be read: they may yet come."""
        before, self.withheld = self.withheld, frozenset(namespaces)
        if before != self.withheld:
            self._wake(*self._waves)

    def completed(self, *namespaces: str) -> None:
        """These namespaces, or without names all, are known from now on."""
        known = [one for one in namespaces or list(self._awaited) if one in self._awaited]
        for one in known:
            del self._awaited[one]
        self._known = self._known or bool(known)
        if known:
            self._wake(*self._waves)

    @property
    def complete(self) -> bool:
        """Every namespace is known from the API server."""
        return not self._awaited

    @property
    def settled(self) -> bool:
        """A namespace is known from the API server, and of every other it has been asked at least once, whatever it said."""
        return self.complete or (self._known and all(self._awaited.values()))

    @property
    def awaited(self) -> list[str]:
        """The names of those that are awaited; none where any may come."""
        return sorted(name for name in self._awaited if name)

    def may_come(self, namespace: str | None) -> bool:
        """Whether a namespace, or without a name any, may yet come."""
        if namespace is None:
            return bool(self._awaited or self.withheld)
        return namespace in self.withheld or not self._awaited.keys().isdisjoint(("", namespace))

    def why_not_yet(self, namespace: str | None) -> str:
        """A sentence on why there is nothing of a namespace, or without a name of any, that may come."""
        if namespace in self.withheld or (namespace is None and self.withheld):
            return "no flag set yet: an object of the namespace cannot be read; the server's log names it"
        return "no flag set yet: the API server has not been heard"

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
