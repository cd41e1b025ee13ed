"""No secret leaves the cluster in a bundle: planted wherever people put them, and looked for in what comes out."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from brownout.cli.diagnosing.bundle import MOST_BYTES_OF_A_FILE, Bundle
from brownout.cli.diagnosing.redaction import GONE, Redactor, is_secret, users_of

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
secrets = st.text(ALPHABET, min_size=12, max_size=40)
NAMES = (
    "password",
    "PROMETHEUS_PASSWORD",
    "redis-password",
    "token",
    "apiToken",
    "HF_TOKEN",
    "api_key",
    "apiKey",
    "OPENAI_API_KEY",
    "client_secret",
    "AWS_SECRET_ACCESS_KEY",
    "privateKey",
    "db.credentials",
)


def jwt(secret: str) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"RS256"}').decode().rstrip("=")
    return f"{head}.{base64.urlsafe_b64encode(secret.encode()).decode().rstrip('=')}.{secret}"


def pem(secret: str) -> str:
    return f"-----BEGIN RSA PRIVATE KEY-----\n{secret}\n{secret}\n-----END RSA PRIVATE KEY-----"


IN_TEXT: tuple[Callable[[str, str], str], ...] = (
    lambda name, secret: f"2026-11-27T08:00:00Z connecting to redis://:{secret}@cache:6379/0 failed",
    lambda name, secret: f"url=https://user:{secret}@prometheus:9090/api/v1/query?x=1",
    lambda name, secret: f"Authorization: Bearer {secret}",
    lambda name, secret: f"authorization: Basic {base64.b64encode(secret.encode()).decode()} {secret}",
    lambda name, secret: f"headers {{'Authorization': 'Bearer {secret}', 'Accept': '*/*'}}",
    lambda name, secret: f"sent Bearer {secret} to it",
    lambda name, secret: f"Cookie: session={secret}; theme=dark {secret}",
    lambda name, secret: f"X-Api-Key: {secret}",
    lambda name, secret: json.dumps({"level": "info", "message": "m", name: secret}),
    lambda name, secret: json.dumps({"message": json.dumps({name: f"{secret} with more of {secret}"})}),
    lambda name, secret: f"{name}={secret} and more",
    lambda name, secret: f"{name}: '{secret} {secret}'",
    lambda name, secret: f'{name} = "{secret}',
    lambda name, secret: f"GET /v1/models?{name}={secret}&page=2 200",
    lambda name, secret: f"--{name} {secret} --port 80",
    lambda name, secret: f"--{name}={secret}",
    lambda name, secret: f"token {jwt(secret)} was refused",
    lambda name, secret: pem(secret),
    lambda name, secret: json.dumps({"ca": pem(secret)}),
    lambda name, secret: f"-----BEGIN EC PRIVATE KEY-----\n{secret}",
    lambda name, secret: f"{secret}\n{secret}\n-----END EC PRIVATE KEY-----",
    lambda name, secret: f"using sk-{secret} and hf_{secret}",
)

IN_OBJECTS: tuple[Callable[[str, str], dict[str, Any]], ...] = (
    lambda name, secret: {"spec": {"containers": [{"name": "c", "env": [{"name": "HARMLESS", "value": secret}]}]}},
    lambda name, secret: {"spec": {"containers": [{"name": "c", "args": [f"--{name}", secret, "--port", "80"]}]}},
    lambda name, secret: {
        "spec": {"containers": [{"name": "c", "command": ["sh", "-c", f"export {name}={secret}; x"]}]}
    },
    lambda name, secret: {
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"x": secret})}}
    },
    lambda name, secret: {"metadata": {"managedFields": [{"fieldsV1": {"f": secret}}]}},
    lambda name, secret: {"metadata": {"annotations": {name: secret}}},
    lambda name, secret: {"apiVersion": "v1", "kind": "Secret", "data": {"x": secret}, "stringData": {"y": secret}},
    lambda name, secret: {"items": [{"apiVersion": "v1", "kind": "Secret", "data": {"x": secret}}]},
    lambda name, secret: {"spec": {"variants": [{"name": "full", "value": {"upstream": {name: secret}}}]}},
    lambda name, secret: {"spec": {"variants": [{"name": "full", "value": {name: [secret, {"a": {name: secret}}]}}]}},
    lambda name, secret: {"livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": secret}]}}},
    lambda name, secret: {"spec": {"triggers": [{"metadata": {"serverAddress": f"http://u:{secret}@prometheus"}}]}},
    lambda name, secret: {"status": {"conditions": [{"message": f"Get redis://:{secret}@cache: refused"}]}},
    lambda name, secret: {"spec": {"caBundle": pem(secret)}},
    lambda name, secret: {f"Bearer {secret}": "as a key"},
)


@given(
    texts=st.lists(st.tuples(st.sampled_from(IN_TEXT), st.sampled_from(NAMES), secrets), min_size=1, max_size=8),
    objects=st.lists(st.tuples(st.sampled_from(IN_OBJECTS), st.sampled_from(NAMES), secrets), min_size=1, max_size=8),
)
def test_no_planted_secret_is_in_the_bundle(texts: list[Any], objects: list[Any]) -> None:
    bundle = Bundle(Redactor())
    bundle.text("log", "\n".join(plant(name, secret) for plant, name, secret in texts))
    bundle.objects("objects.yaml", [plant(name, secret) for plant, name, secret in objects])
    bundle.objects("events.yaml", [{"note": plant(name, secret)} for plant, name, secret in texts])
    bundle.last("errors.txt", "\n".join(plant(name, secret) for plant, name, secret in texts))
    whole = b"\n".join(bundle.files.values()).decode()
    for _, _, secret in [*texts, *objects]:
        assert secret not in whole


@pytest.mark.parametrize("plant", [*IN_TEXT, *IN_OBJECTS])
@pytest.mark.parametrize("name", NAMES)
def test_every_place_is_looked_at_alone(plant: Callable[[str, str], Any], name: str) -> None:
    secret = "S3cr3tValue4Tests0nly"
    planted = plant(name, secret)
    redactor = Redactor()
    left = redactor.text(planted) if isinstance(planted, str) else yaml.safe_dump(redactor.value(planted))
    assert secret not in left


def test_what_is_no_secret_stays() -> None:
    body = {
        "kind": "GPUPool",
        "spec": {"prometheus": {"secretRef": {"name": "prometheus"}, "namespaceParameter": "namespace"}},
        "containers": [{"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "redis", "key": "url"}}}]}],
        "value": {"enabled": True, "maxTokens": 2048, "steps": 30},
        "automountServiceAccountToken": True,
        "volumes": [{"secret": {"secretName": "api-keys"}}],
        "query": 'sum(rate(sglang:prompt_tokens_total{namespace="media"}[30s]))',
    }
    assert Redactor().value(body) == body
    page = 'vllm:prompt_tokens_total{model_name="chat"} 12\nbrownout_last_tick_timestamp_seconds 1.7e+09\n'
    assert Redactor().text(page) == page
    assert not is_secret("secretRef")
    assert not is_secret("flagKey")


def test_users_who_are_held_back_have_pseudonyms_that_are_the_same_everywhere() -> None:
    policy = {"status": {"cells": [{"tier": "free", "user": "alice@example.com", "variant": "denied"}]}}
    redactor = Redactor(users_of([policy]))
    inside = redactor.value(policy)["status"]["cells"][0]["user"]
    assert inside.startswith("user-")
    assert redactor.text('image for free, alice@example.com: denied; {user="alice@example.com"} 3') == (
        f'image for free, {inside}: denied; {{user="{inside}"}} 3'
    )


@pytest.mark.parametrize(
    "line",
    [
        "a" * 400_000,
        "token" * 80_000,
        "token=" * 60_000,
        "h" * 100 + "://" * 60_000,
        '"\\' * 200_000,
        "abc \n" * 80_000,
    ],
)
def test_a_long_line_of_a_log_takes_no_minutes(line: str) -> None:
    began = time.process_time()
    Redactor().text(line)
    assert time.process_time() - began < 20


def test_the_end_of_a_long_log_is_kept_and_what_is_beyond_the_bundle_is_said() -> None:
    bundle = Bundle(Redactor(), most_bytes=MOST_BYTES_OF_A_FILE + 10)
    bundle.text("long.log", "first\n" + ("line " * 40 + "\n") * (MOST_BYTES_OF_A_FILE // 200) + "last\n")
    assert len(bundle.files["long.log"]) <= MOST_BYTES_OF_A_FILE
    assert bundle.files["long.log"].endswith(b"last\n")
    bundle.text("more.log", "beyond its bounds")
    assert "more.log" not in bundle.files
    assert [error.split(":")[0] for error in bundle.errors] == ["long.log", "more.log"]
    bundle.last("errors.txt", "is always there")
    assert "errors.txt" in bundle.files


def test_what_is_gone_leaves_a_word() -> None:
    assert Redactor().text("redis://:abc@cache") == f"redis://{GONE}@cache"
