"""The three endpoints of the ledger on running flag servers, asked as a server that does the work would ask."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.tier import USER_TIER
from brownout.cli.main import main
from brownout.flags.snapshot import encode, write
from flags.builders import NAMESPACE, TIERS, always, policy, with_quota
from flags.hosted import hosted
from flags.process import NOWHERE, Asked, FlagServer, flag_server
from support.redis import RedisServer, redis_server
from support.waiting import wait_for

KEY, STRICT, LOCAL = "image-generation", "video-generation", "chat"
LIMIT = 3
Answer = tuple[int, Any, Mapping[str, str]]


def keep(folder: Path) -> None:
    """A snapshot with three features: one that is allowed while nobody counts, one that is denied then, one of local days."""
    policies = [
        policy(KEY, tiers=[always("pro"), with_quota("plus", 5), with_quota("free", LIMIT)]),
        policy(STRICT, tiers=[with_quota("free", LIMIT, when_unavailable="Deny")]),
        policy(LOCAL, tiers=[with_quota("free", LIMIT, day="User", zone_key="profile.zone")]),
    ]
    objects = {FEATURE_POLICY.plural: policies, USER_TIER.plural: TIERS, FEATURE_OVERRIDE.plural: ()}
    write(folder, NAMESPACE, encode(objects, saved_at=0.0))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def servers(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[FlagServer]]:
    """Three replicas that count in one Redis."""
    with ExitStack() as running:
        found = []
        for _ in range(3):
            folder = tmp_path_factory.mktemp("replica")
            keep(folder)
            (folder / "kubeconfig").write_text(NOWHERE)
            options = ["--quota-storage", redis.url]
            server = flag_server(kubeconfig=folder / "kubeconfig", snapshot_dir=folder, options=options)
            found.append(running.enter_context(server))
        yield found


@pytest.fixture(scope="module")
def server(servers: list[FlagServer]) -> FlagServer:
    return servers[0]


class User:
    """A user whom no test has seen before, as a server asks about one."""

    def __init__(self, server: Asked, *, plan: str = "free", feature: str = KEY, **attributes: Any) -> None:
        self.server = server
        self.feature = feature
        self.context = {"targetingKey": uuid4().hex, "plan": plan, **attributes}

    def ask(self, operation: str, **body: Any) -> Answer:
        path = f"/{NAMESPACE}/v1/quota/{self.feature}/{operation}"
        return self.server.ask(path, {"context": self.context, **body})

    def reserve(self, **body: Any) -> Answer:
        return self.ask("reserve", **body)

    def reserved(self) -> str:
        status, body, _ = self.reserve()
        assert status == 200, body
        return str(body["reservation"])


def test_a_reservation_says_what_is_left_and_until_when(server: FlagServer) -> None:
    status, body, _ = User(server).reserve(ttlSeconds=60)
    assert status == 200
    assert {name: body[name] for name in ("outcome", "feature", "tier", "limit", "used", "reserved", "remaining")} == {
        "outcome": "reserved",
        "feature": KEY,
        "tier": "free",
        "limit": LIMIT,
        "used": 0,
        "reserved": 1,
        "remaining": LIMIT - 1,
    }
    assert body["resetsAt"].endswith("T00:00:00Z")
    assert body["zone"] == "UTC"
    assert 50 < datetime.fromisoformat(body["expiresAt"]).timestamp() - time.time() <= 61


def test_a_whole_number_may_be_written_with_a_point(server: FlagServer) -> None:
    """To JSON 60.0 is the number 60, and some libraries write it so."""
    path = f"/{NAMESPACE}/v1/quota/{KEY}/reserve"
    status, body, _ = server.ask(path, b'{"context": {"targetingKey": "dotted"}, "ttlSeconds": 60.0}')
    assert status == 200, body


def test_a_committed_unit_is_used_and_a_refunded_one_is_not(server: FlagServer) -> None:
    user = User(server)
    _, committed, _ = user.ask("commit", reservation=user.reserved())
    assert (committed["outcome"], committed["used"], committed["remaining"]) == ("committed", 1, 2)
    _, refunded, _ = user.ask("refund", reservation=user.reserved())
    assert (refunded["outcome"], refunded["used"], refunded["remaining"]) == ("refunded", 1, 2)


def test_a_used_up_day_is_a_429_that_says_when_to_come_back(server: FlagServer) -> None:
    user = User(server)
    for _ in range(LIMIT):
        user.ask("commit", reservation=user.reserved())
    status, body, headers = user.reserve()
    assert status == 429
    assert headers["Content-Type"].startswith("application/problem+json")
    assert (body["reason"], body["limit"], body["used"], body["remaining"]) == ("denied_quota", LIMIT, LIMIT, 0)
    to_midnight = datetime.fromisoformat(body["resetsAt"]).timestamp() - time.time()
    assert abs(int(headers["Retry-After"]) - to_midnight) < 5


def test_units_that_are_only_reserved_may_come_back_sooner(server: FlagServer) -> None:
    user = User(server)
    for _ in range(LIMIT):
        user.reserve(ttlSeconds=40)
    status, body, headers = user.reserve()
    assert (status, body["reserved"]) == (429, LIMIT)
    assert int(headers["Retry-After"]) <= 40


def test_a_reservation_that_nobody_commits_gives_its_unit_back(server: FlagServer) -> None:
    user = User(server)
    for _ in range(LIMIT):
        user.reserve(ttlSeconds=1)
    assert user.reserve()[0] == 429
    wait_for(lambda: user.reserve()[0] == 200, "a unit is back", seconds=5)


def test_a_user_who_is_upgraded_has_the_new_limit_at_once_and_keeps_what_was_used(server: FlagServer) -> None:
    user = User(server)
    for _ in range(LIMIT):
        user.ask("commit", reservation=user.reserved())
    assert user.reserve()[0] == 429
    user.context["plan"] = "plus"
    _, body, _ = user.reserve()
    assert (body["tier"], body["limit"], body["used"], body["remaining"]) == ("plus", 5, 3, 1)


def test_a_tier_without_a_quota_is_not_counted(server: FlagServer) -> None:
    assert User(server, plan="pro").reserve()[1] == {"outcome": "unlimited", "feature": KEY, "tier": "pro"}


def test_a_double_commit_counts_once_whichever_replica_is_asked(servers: list[FlagServer]) -> None:
    user = User(servers[0])
    reservation = user.reserved()
    for server in servers:
        user.server = server
        _, body, _ = user.ask("commit", reservation=reservation)
        assert (body["outcome"], body["used"]) == ("committed", 1)


def test_a_reservation_that_is_sent_again_takes_one_unit(server: FlagServer) -> None:
    user = User(server)
    proposed = uuid4().hex
    first, again = (user.reserve(reservation=proposed)[1] for _ in range(2))
    assert first["reservation"] == again["reservation"]
    assert again["reserved"] == 1


def test_what_has_ended_stays_so(server: FlagServer) -> None:
    user = User(server)
    refunded, committed = user.reserved(), user.reserved()
    user.ask("refund", reservation=refunded)
    user.ask("commit", reservation=committed)
    for operation, reservation in (("commit", refunded), ("refund", committed)):
        status, body, _ = user.ask(operation, reservation=reservation)
        assert (status, body["reason"]) == (409, "reservation_closed")
    assert user.reserve()[1]["used"] == 1


def test_nobody_ends_the_reservation_of_somebody_else(server: FlagServer) -> None:
    reservation = User(server).reserved()
    assert User(server).ask("refund", reservation=reservation)[0] == 409


def test_a_local_day_ends_at_the_users_midnight(server: FlagServer) -> None:
    _, body, _ = User(server, feature=LOCAL, profile={"zone": "Asia/Kolkata"}).reserve()
    assert body["zone"] == "Asia/Kolkata"
    assert body["resetsAt"].endswith("T18:30:00Z")


def test_200_requests_at_once_to_three_replicas_get_exactly_the_limit(servers: list[FlagServer]) -> None:
    user = User(servers[0])
    path = f"/{NAMESPACE}/v1/quota/{KEY}/reserve"
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: servers[n % 3].ask(path, {"context": user.context})[0], range(200)))
    assert {status: answers.count(status) for status in set(answers)} == {200: LIMIT, 429: 200 - LIMIT}


# What strangers send

RESERVATION = "reservation"
WRONG = [
    (b"{", "body"),
    (b"[]", "body"),
    (b"\xff\xfe", "body"),
    (b'{"context": 7}', "context"),
    (b'{"context": {"targetingKey": 7}}', "context.targetingKey"),
    (b'{"context": {"plan": "free"}}', "context.targetingKey"),
    (b'{"context": {"plan": "free", "targetingKey": ""}}', "context.targetingKey"),
    (b'{"context": {"targetingKey": "%s"}}' % (b"x" * 257), "context.targetingKey"),
    (b'{"context": {"targetingKey": "a", "deep": %s%s}}' % (b"[" * 20, b"]" * 20), "context.deep"),
    (b"[" * 50_000, "body"),
    (b'{"context": {"targetingKey": "a"}, "ttlSeconds": 0}', "ttlSeconds"),
    (b'{"context": {"targetingKey": "a"}, "ttlSeconds": 86401}', "ttlSeconds"),
    (b'{"context": {"targetingKey": "a"}, "ttlSeconds": 1e400}', "body"),
    (b'{"context": {"targetingKey": "a"}, "ttlSeconds": "60"}', "ttlSeconds"),
    (b'{"context": {"targetingKey": "a"}, "ttlSeconds": 60.5}', "ttlSeconds"),
    (b'{"context": {"targetingKey": "a"}, "ttlSeconds": 1e300}', "ttlSeconds"),
    (b'{"context": {"targetingKey": "a"}, "reservation": "short"}', RESERVATION),
    (b'{"context": {"targetingKey": "a"}, "reservation": "sixteen letters!"}', RESERVATION),
    (b'{"context": {"targetingKey": "a"}, "reservation": ["x"]}', RESERVATION),
]


@pytest.mark.parametrize(("body", "field"), WRONG, ids=[f"{number}-{field}" for number, (_, field) in enumerate(WRONG)])
def test_what_cannot_be_understood_is_a_400_that_names_the_field(server: FlagServer, body: bytes, field: str) -> None:
    status, answer, headers = server.ask(f"/{NAMESPACE}/v1/quota/{KEY}/reserve", body)
    assert status == 400
    assert headers["Content-Type"].startswith("application/problem+json")
    assert answer["detail"].startswith(f"{field}:")


@pytest.mark.parametrize(
    "reservation",
    [None, "", "x", "2026-11-27", "1999-01-01." + "a" * 24, "2026-99-99." + "a" * 24, "2026-11-27." + "a" * 9999],
)
@pytest.mark.parametrize("operation", ["commit", "refund"])
def test_a_reservation_that_cannot_be_one_is_a_400(server: FlagServer, operation: str, reservation: str | None) -> None:
    status, body, _ = User(server).ask(operation, reservation=reservation)
    assert status == 400
    assert body["detail"].startswith("reservation:")


def test_a_body_that_is_too_large_is_a_413(server: FlagServer) -> None:
    body = {"context": {"targetingKey": "a", "much": "x" * 100_000}}
    status, answer, _ = server.ask(f"/{NAMESPACE}/v1/quota/{KEY}/reserve", body)
    assert (status, answer["reason"]) == (413, "too_large")


@pytest.mark.parametrize("path", [f"/{NAMESPACE}/v1/quota/nothing/reserve", f"/nowhere/v1/quota/{KEY}/reserve"])
def test_what_is_not_served_is_a_404(server: FlagServer, path: str) -> None:
    status, body, _ = server.ask(path, {"context": {"targetingKey": "a"}})
    assert status in (404, 503)  # before the API server has been heard the namespace may yet come
    assert body["detail"]


def test_the_audience_is_no_feature(server: FlagServer) -> None:
    assert User(server, feature="brownout.audience").reserve()[0] == 404


# Without Redis


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    keep(folder)
    (folder / "kubeconfig").write_text(NOWHERE)
    return folder


def test_while_redis_is_away_users_get_what_the_policy_chose(disk: Path, tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as redis,
        flag_server(
            kubeconfig=disk / "kubeconfig", snapshot_dir=disk, options=["--quota-storage", redis.url]
        ) as server,
    ):
        allowed, denied = User(server), User(server, feature=STRICT)
        reservation = denied.reserved()
        redis.stop()

        status, body, _ = allowed.reserve()
        assert (status, body["outcome"], body["limit"]) == (200, "uncounted", LIMIT)
        status, body, headers = denied.reserve()
        assert (status, body["reason"]) == (503, "quota_unavailable")
        assert int(headers["Retry-After"]) > 0
        status, body, _ = denied.ask("commit", reservation=reservation)
        assert (status, body["reason"]) == (503, "quota_unavailable")  # nobody waits for it: it is sent again
        evaluated = server.ask(f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}", {"context": allowed.context})
        assert evaluated[1]["variant"] == "full"

        assert server.metric("brownout_flags_quota_available") == 0
        assert server.metric("brownout_flags_quota_uncounted_total", choice="Allow") == 1
        assert server.metric("brownout_flags_quota_uncounted_total", choice="Deny") == 1
        redis.start()
        wait_for(lambda: allowed.reserve()[1]["outcome"] == "reserved", "it is counted again", seconds=10)
        assert server.metric("brownout_flags_quota_available") == 1


def test_whoever_finds_no_place_to_wait_for_redis_gets_at_once_what_the_policy_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brownout.flags.quota.redis.MAX_WAITING", 2)
    monkeypatch.setattr("brownout.flags.quota.redis.ANSWER_SECONDS", 5.0)  # all have come by then, on any machine
    policies = [
        policy(KEY, tiers=[with_quota("free", LIMIT)]),
        policy(STRICT, tiers=[with_quota("free", LIMIT, when_unavailable="Deny")]),
    ]
    with redis_server(tmp_path) as redis, hosted(*policies, quota_storage=redis.url) as server:
        User(server).reserved()
        redis.pause()
        users = [User(server, feature=KEY if number % 2 else STRICT) for number in range(40)]
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda user: (user.reserve(), time.monotonic()), users))
        redis.resume()
        for user, ((status, body, _), _) in zip(users, answers, strict=True):
            if user.feature == KEY:
                assert (status, body["outcome"]) == (200, "uncounted")
            else:
                assert (status, body["reason"]) == (503, "quota_unavailable")
        assert server.metric("brownout_flags_quota_turned_away_total") >= 20
        assert server.ask(f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}", {"context": User(server).context})[0] == 200


def test_one_server_counts_in_memory_by_default(disk: Path) -> None:
    with flag_server(kubeconfig=disk / "kubeconfig", snapshot_dir=disk) as server:
        user = User(server)
        assert [user.reserve()[0] for _ in range(LIMIT + 1)] == [200] * LIMIT + [429]
        assert any("in this process alone" in line["message"] for line in server.lines)
        assert server.metric("brownout_flags_quota_requests_total", operation="reserve", outcome="denied_quota") == 1


def test_a_password_in_the_storages_url_is_never_written(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUOTA_STORAGE_URL", "redis://:tell-nobody@127.0.0.1:1/0")
    with flag_server(kubeconfig=disk / "kubeconfig", snapshot_dir=disk) as server:
        _, body, _ = User(server).reserve()
        assert body["outcome"] == "uncounted"
        assert server.metric("brownout_flags_quota_available") == 0
        assert "tell-nobody" not in f"{server.lines} {body} {server.ask('/metrics')}"


def test_a_storage_that_cannot_be_used_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], disk: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(disk / "kubeconfig"))
    assert main(["flags", "serve", "--quota-storage", "mysql://user:tell-nobody@db/0", "--http-port", "0"]) == 2
    said = capsys.readouterr().err
    assert "--quota-storage" in said
    assert "tell-nobody" not in said
