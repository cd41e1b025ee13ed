"""The control plane goes away, a part after the other, while users are served: no evaluation fails, and none changes except by policy."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flags.process import FlagServer, flag_server, in_process_client
from flags.reading import lucky
from flags.traffic import Failure, Traffic, answer, bulk, quota, single, stock, traffic
from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World, ours
from support.redis import RedisServer, redis_server
from support.waiting import wait_for

pytest_plugins = ("support.operator_fixtures",)

CHAT = "chat"
FEATURES = [FEATURE, CHAT]
FIRST_TO_GET_BACK = next(name for name in (f"user-{n}" for n in count()) if lucky(FEATURE, name, 5))
"""A user who is in the first twentieth of the feature's users, and so has it again with the first step."""
USERS = {
    "free": {"plan": "free", "targetingKey": FIRST_TO_GET_BACK},
    "pro": {"plan": "pro", "targetingKey": "somebody"},
}
FULL = answer("full", {"enabled": True})
DENIED, OVERRIDDEN = (answer(f"denied_{why}", {"enabled": False}) for why in ("capacity", "override"))
BEFORE = {f"{FEATURE} for free": DENIED, f"{FEATURE} for pro": FULL, f"{CHAT} for free": FULL, f"{CHAT} for pro": FULL}

OFREP, BULK, IN_PROCESS, QUOTA = "OFREP", "OFREP bulk", "flagd in process", "quota"
EVALUATIONS = (OFREP, BULK, IN_PROCESS)
CHATS = (f"{CHAT} for free", f"{CHAT} for pro")
FLAG_SERVER, REDIS = "the flag server", "Redis"
COUNTED, INTERRUPTED = "reserved, committed", "reserved, quota_unavailable"
WHEN_UNAVAILABLE = {FEATURE: "uncounted", CHAT: "quota_unavailable"}
"""What the two policies' `whenUnavailable`, Allow and Deny, make of a reservation."""

FLIP_SECONDS = 10.0
"""From a write, or from an override's end, until every way of asking is answered by it; on a machine that does much else."""
RESTORE_SECONDS = 60.0
"""From the end of an overload until the first users have back what they had lost: a dwell, a gate, a flip."""
COUNTED_AGAIN_SECONDS = 10.0
"""From Redis's return until it is asked again: it is left alone for a second after each failure."""
MOST = 0.95
"""Of the quotas' answers while Redis is there: on a busy machine it may now and then not answer in time."""
ANSWERS_WITHOUT = 10
"""So many answers everybody gets at least while a part is away: about two seconds of them."""
OVERRIDE_SECONDS = 10
"""Long enough, on a quiet machine, for the API server to end and the flag server to start again meanwhile."""


@pytest.fixture
def product(world: World) -> World:
    """Images with a quota that is not counted while nobody can count, and a chat with one that denies then."""
    tiers = [
        {"tierRef": {"name": "pro"}, "availability": "Always"},
        {"tierRef": {"name": "free"}, "quota": {"limit": 3, "whenUnavailable": "Allow"}},
    ]
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": {"tiers": tiers}})
    variants = [{"name": "full", "value": {"enabled": True}}, {"name": "denied", "value": {"enabled": False}}]
    tiers = [
        {"tierRef": {"name": "pro"}, "availability": "Always"},
        {"tierRef": {"name": "free"}, "quota": {"limit": 3, "whenUnavailable": "Deny"}},
    ]
    world.namespace.create(ours("FeaturePolicy", CHAT, flagKey=CHAT, variants=variants, tiers=tiers))
    return world


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
def server(product: World, redis: RedisServer, tmp_path: Path) -> Iterator[FlagServer]:
    """A flag server with a snapshot, which counts in Redis."""
    with flag_server(
        kubeconfig=product.cluster.kubeconfig,
        snapshot_dir=tmp_path / "snapshot",
        namespaces=[product.namespace.name],
        options=["--quota-storage", redis.url],
    ) as running:
        yield running


class Outage(NamedTuple):
    """When a part was being ended, was gone, was being started again, and was back (monotonic seconds)."""

    ends: float
    gone: float
    starts: float
    back: float


class Story:
    """What is to be answered: at first what was before, then what was changed, each change within a time of its cause."""

    def __init__(self, asked: Traffic) -> None:
        self.asked = asked
        self.outages: dict[str, Outage] = {}
        self._expected = {whose: [(said, 0.0, float("inf"))] for whose, said in BEFORE.items()}

    def begins(self) -> None:
        """Wait until everybody has been answered in every way."""
        self._wait_for(lambda: all(self._all_say(whose, said) for whose, said in BEFORE.items()), f"all say {BEFORE}")
        self.quotas_say(dict.fromkeys(FEATURES, COUNTED))

    def quotas_say(self, said: Mapping[str, str], *, within: float = 30.0) -> None:
        """Wait until the quotas' answers, by feature, are these."""
        self._wait_for(
            lambda: all(self.asked.latest(feature).get(QUOTA) == outcome for feature, outcome in said.items()),
            f"quotas say {said}",
            seconds=within,
        )

    def changes(self, said: str, *whose: str, since: float, within: float = FLIP_SECONDS) -> None:
        """From a moment on, and within so long, these are answered something else. Wait until they are."""
        for who in whose:
            self._expected[who].append((said, since, within))
        left = max(0.0, since + within - time.monotonic())
        self._wait_for(
            lambda: all(self._all_say(who, said) for who in whose), f"{', '.join(whose)}: {said}", seconds=left
        )

    @contextmanager
    def without(self, name: str, end: Callable[[], object], start: Callable[[], object]) -> Iterator[None]:
        """A part is away while the block runs, and until everybody has been answered without it, again and again."""
        ends = time.monotonic()
        end()
        gone = time.monotonic()
        try:
            yield
            if name != FLAG_SERVER:
                self._wait_for(lambda: self._all_answered(since=gone), f"everybody is answered without {name}")
        finally:
            starts = time.monotonic()
            start()
        self.outages[name] = Outage(ends, gone, starts, time.monotonic())

    def held(self) -> None:
        """Everything that was ever asked had its answer, and it was the one to expect at that moment."""
        outside = [each for each in self.asked.failures if not self._is_of_the_restart(each)]
        everything = sum(map(len, self.asked.answers.values())) + len(self.asked.failures)
        assert not outside, f"{len(outside)} of {everything} were not answered, the first of them: {outside[:3]}"
        for way in EVALUATIONS:
            for whose in self._expected:
                self._evaluations_held(way, whose)
        for feature in FEATURES:
            self._quotas_held(feature)

    def _evaluations_held(self, way: str, whose: str) -> None:
        seen, expected = self.asked.changes(way, whose), self._expected[whose]
        assert [each.said for each in seen] == [said for said, _, _ in expected], f"{whose} by {way}: {seen}"
        for each, (said, since, within) in zip(seen, expected, strict=True):
            after = each.at - since
            assert 0 <= after <= within, f"{whose} by {way}: {said} {after:.2f} s after its cause, not within {within}"

    def _quotas_held(self, feature: str) -> None:
        """Counted, but while Redis was away: then as the policy says."""
        outage, policy = self.outages[REDIS], WHEN_UNAVAILABLE[feature]
        away = self.asked.between(QUOTA, feature, outage.gone, outage.starts)
        assert set(away) == {policy}, f"{feature} without Redis: {set(away)}"
        with_redis = self.asked.between(QUOTA, feature, 0.0, outage.ends)
        with_redis += self.asked.between(QUOTA, feature, outage.back + COUNTED_AGAIN_SECONDS, float("inf"))
        seen = Counter(with_redis)
        assert seen[COUNTED] >= MOST * seen.total(), f"{feature} with Redis: {seen}"
        assert seen.keys() <= {COUNTED, policy, INTERRUPTED}, f"{feature} with Redis: {seen}"

    def _wait_for(self, look: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
        try:
            wait_for(look, what, seconds=seconds)
        except AssertionError as error:
            latest = {key: given[-1].said for key, given in list(self.asked.answers.items())}
            raise AssertionError(f"{error}; answers: {latest}; failures: {self.asked.failures[-3:]}") from None

    def _all_answered(self, *, since: float) -> bool:
        everybody = list(self.asked.answers)
        return all(len(self.asked.between(*key, since, float("inf"))) >= ANSWERS_WITHOUT for key in everybody)

    def _all_say(self, whose: str, said: str) -> bool:
        return self.asked.latest(whose) == dict.fromkeys(EVALUATIONS, said)

    def _is_of_the_restart(self, failure: Failure) -> bool:
        """Nobody listened while the flag server itself was away. Whoever evaluates in process has no such excuse."""
        outage = self.outages[FLAG_SERVER]
        overlaps = failure.asked_at <= outage.back and outage.ends <= failure.at
        return failure.refused and failure.way != IN_PROCESS and overlaps


def test_parts_that_end_in_turn_fail_no_evaluation_and_change_none_except_by_policy(
    product: World, operator: Operator, redis: RedisServer, server: FlagServer
) -> None:
    namespace, cluster = product.namespace, product.cluster
    api_server = cluster.component("kube-apiserver")
    take_images_from_free_users(product)
    wait_for(
        lambda: dict(single(server, namespace.name, FEATURES, USERS)) == BEFORE, f"the flag server answers {BEFORE}"
    )
    with everything_asked(server, namespace.name) as asked:
        story = Story(asked)
        story.begins()

        with story.without("the operator", operator.kill, operator.start):
            since = time.monotonic()
            namespace.create(override("by-hand", until=time.time() + 3600))
            story.changes(OVERRIDDEN, *CHATS, since=since)

        with story.without("Prometheus", cluster.prometheus.stop, cluster.prometheus.start):
            product.wait_for_sentence("InferenceScaler", "image", "MetricsAvailable", "Prometheus cannot be reached")
            since = time.monotonic()
            namespace.delete(API_VERSION, "FeatureOverride", "by-hand")
            story.changes(FULL, *CHATS, since=since)
        wait_for(lambda: evidence(product) == "True", "evidence is back")

        with story.without(REDIS, redis.stop, redis.start):
            story.quotas_say(WHEN_UNAVAILABLE)
        story.quotas_say(dict.fromkeys(FEATURES, COUNTED), within=COUNTED_AGAIN_SECONDS)

        since, until = time.monotonic(), int(time.time()) + OVERRIDE_SECONDS
        namespace.create(override("for-a-while", until=until))
        story.changes(OVERRIDDEN, *CHATS, since=since)
        ends = time.monotonic() + until - time.time()
        with story.without("the API server", api_server.stop, partial(start_api_server, product)):
            wait_for(lambda: server.metric("brownout_flags_sync_errors_total", kind="featurepolicies") > 0, "missed")
            with story.without(FLAG_SERVER, partial(server.end, signal.SIGKILL), server.start):
                pass
            assert server.ask("/readyz")[1]["synced"] is False
            late = max(0.0, story.outages[FLAG_SERVER].back - ends)
            story.changes(FULL, *CHATS, since=ends, within=late + FLIP_SECONDS)
        wait_for(lambda: server.ask("/readyz")[1]["synced"], "the API server is heard again", seconds=60)

        wait_for(lambda: product.served("free") == ("denied", 100), "the operator's word stands", seconds=60)
        since = time.monotonic()
        product.set_load(pro=0.5, free=0.5, admitted=0.05)
        story.changes(FULL, f"{FEATURE} for free", since=since, within=RESTORE_SECONDS)
        assert not operator.ended(), f"the operator ended: {operator.log()[-2000:]}"
    story.held()


def take_images_from_free_users(world: World) -> None:
    """An overload that lasts: paying users alone fill what there is, so that no part of what was taken fits again."""
    world.set_load(pro=3.9, free=20)
    world.wait_for_variant("free", "denied", seconds=60)
    world.set_load(pro=3.9, free=20, admitted=0)


@contextmanager
def everything_asked(server: FlagServer, namespace: str) -> Iterator[Traffic]:
    """Evaluations and quotas, in every way."""
    with in_process_client(server, namespace) as client:
        ways = {
            OFREP: partial(single, server, namespace, FEATURES, USERS),
            BULK: partial(bulk, server, namespace, FEATURES, USERS),
            IN_PROCESS: partial(stock, client, FEATURES, USERS),
            QUOTA: partial(quota, server, namespace, FEATURES, USERS["free"]),
        }
        with traffic(ways) as asked:
            yield asked


def override(name: str, *, until: float) -> dict[str, Any]:
    """A person denies everybody the chat, until a moment (Unix seconds)."""
    ends = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ours("FeatureOverride", name, policyRef={"name": CHAT}, variant="denied", expireTime=ends, reason="a test")


def start_api_server(world: World) -> None:
    """And wait until it answers, and the controllers have found it again: the next test needs them."""
    world.cluster.component("kube-apiserver").start()
    wait_for(lambda: world.namespace.get(API_VERSION, "FeaturePolicy", FEATURE), "the API server answers", seconds=60)
    world.namespace.delete("v1", "ServiceAccount", "default")
    wait_for(lambda: world.namespace.find("v1", "ServiceAccount", "default"), "the controllers are back", seconds=90)


def evidence(world: World) -> str:
    return str(world.condition("InferenceScaler", "image", "MetricsAvailable")["status"])
