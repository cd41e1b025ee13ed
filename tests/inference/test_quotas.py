"""A quota from the policy to the person: a real inference server, its flags and its ledger from a real flag server."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY, Quota, TierEntry
from brownout.api.schema import Ref
from brownout.api.tier import USER_TIER
from brownout.flags.snapshot import encode, write
from flags.builders import NAMESPACE, TIERS, policy
from flags.process import NOWHERE, FlagServer, flag_server
from inference.server_process import Client, ServerProcess
from support.redis import RedisServer, redis_server

LIMIT = 3


def entry(tier: str, limit: int, choice: str) -> TierEntry:
    return TierEntry(tier_ref=Ref(name=tier), quota=Quota(limit=limit, when_unavailable=choice))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def flags(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlagServer]:
    """Free users have three images a day, also while nobody counts; plus users five, and none then."""
    folder = tmp_path_factory.mktemp("flags")
    (folder / "kubeconfig").write_text(NOWHERE)
    policies = [policy(tiers=[entry("free", LIMIT, "Allow"), entry("plus", 5, "Deny")])]
    objects = {FEATURE_POLICY.plural: policies, USER_TIER.plural: TIERS, FEATURE_OVERRIDE.plural: ()}
    write(folder, NAMESPACE, encode(objects, saved_at=0.0))
    options = ["--quota-storage", redis.url]
    with flag_server(kubeconfig=folder / "kubeconfig", snapshot_dir=folder, options=options) as running:
        yield running


@pytest.fixture(scope="module")
def process(flags: FlagServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    words = ["--workload", "image", "--features", "image-generation", "--flags-required"]
    log = tmp_path_factory.mktemp("server") / "image.log"
    quota_url = f"{flags.url}/{NAMESPACE}"
    server = ServerProcess(log, *words, "--quota-url", quota_url, flags_port=flags.grpc_port)
    yield server
    server.close()


@pytest.fixture
async def image(process: ServerProcess, session: aiohttp.ClientSession) -> Client:
    client = Client(process, session)
    await client.until_ready()
    return client


def user(name: str) -> dict[str, str]:
    return {"X-Brownout-User": name, "X-Brownout-Account-Created-At": "1500000000"}


async def test_three_images_a_day_are_three_and_an_upgrade_gives_more_at_once(image: Client) -> None:
    ana = user("ana")
    answers = [await image.image(headers=ana) for _ in range(LIMIT)]
    assert [answer.status for answer in answers] == [200] * LIMIT
    await image.until_metric("brownout_inference_quota_total", LIMIT, outcome="committed")
    refused = await image.image(headers=ana)
    assert (refused.status, refused.body["reason"], refused.body["used"]) == (429, "denied_quota", LIMIT)
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.body["error"]["type"] == "rate_limit_error"
    assert (await image.image("plus", headers=ana)).status == 200


async def test_asking_for_twenty_at_once_gets_no_more(image: Client) -> None:
    answers = await asyncio.gather(*(image.image(headers=user("bob")) for _ in range(20)))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (LIMIT, 20 - LIMIT)


async def test_a_client_that_gives_up_gets_its_unit_back(image: Client) -> None:
    eve = user("eve")
    before = await image.metric("brownout_inference_quota_total", outcome="refunded")
    asked = [asyncio.create_task(image.image(headers=eve)) for _ in range(LIMIT)]
    await image.until_metric_at_least("brownout_inference_running", 1)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await image.until_metric("brownout_inference_quota_total", before + LIMIT, outcome="refunded")
    assert (await image.image(headers=eve)).status == 200


async def test_with_redis_away_each_tier_gets_what_its_policy_says(
    image: Client, redis: RedisServer, flags: FlagServer
) -> None:
    redis.stop()
    try:
        dan = user("dan")
        assert [(await image.image(headers=dan)).status for _ in range(LIMIT + 1)] == [200] * (LIMIT + 1)
        refused = await image.image("plus", headers=dan)
        assert (refused.status, refused.body["reason"]) == (503, "quota_unavailable")
        assert flags.metric("brownout_flags_quota_available") == 0
        assert (await image.image("pro", headers=dan)).body.get("reason") == "denied_plan"
    finally:
        redis.start()
