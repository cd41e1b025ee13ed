"""A flag server with a password, keys and tokens, at its most talkative and in trouble: none of them is in what it says.

Nor is anything that users said of themselves: attributes are asked with, and neither logged nor counted.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flags.builders import NAMESPACE
from flags.issuer import AUDIENCE, NAME, Issuer
from flags.process import NOWHERE, FlagServer, flag_server
from flags.test_quota_server import KEY, keep
from support.redis import redis_server
from support.waiting import wait_for

PASSWORD = "r3d1s-passw0rd"
API_KEY = "g4teway-k3y-of-a-test"
PERSON, EMAIL = "person-4711", "person@example.com"
USER = {"targetingKey": PERSON, "plan": "free", "email": EMAIL}
FLAGS = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"


class Said:
    """What a server said over its life, and what it was given and must not say."""

    def __init__(self, text: str, kept: str, secrets: list[str]) -> None:
        self.text = text
        self.kept = kept
        self.secrets = secrets


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Said]:
    """Everything that a server with secrets prints, measures and shows while it is asked, refuses, and loses its Redis."""
    folder = tmp_path_factory.mktemp("secretive")
    keep(folder)
    issuer = Issuer("one")
    (folder / "kubeconfig").write_text(NOWHERE)
    (folder / "jwks.json").write_bytes(issuer.jwks)
    (folder / "api-keys").write_text(f"{API_KEY}\n")
    token = issuer.token("one", sub=PERSON, plan="free", email=EMAIL)
    expired = issuer.token("one", sub=PERSON, lasts=-3600.0)
    options = ["--log-level", "debug", "--api-keys", str(folder / "api-keys"), "--jwt-jwks", str(folder / "jwks.json")]
    options += ["--jwt-issuer", NAME, "--jwt-audience", AUDIENCE]
    with pytest.MonkeyPatch.context() as patch, redis_server(folder, "--requirepass", PASSWORD) as redis:
        patch.setenv("QUOTA_STORAGE_URL", redis.url.replace("redis://", f"redis://:{PASSWORD}@"))
        with flag_server(
            kubeconfig=folder / "kubeconfig", snapshot_dir=folder, options=options, console=True
        ) as server:
            shown = _use(server, token, expired)
            redis.ask(f"AUTH {PASSWORD}")
            redis.stop()
            wait_for(
                lambda: _reserve(server, token) and "quota storage lost" in _log(server), "the loss of Redis is logged"
            )
            shown += _pages(server)
            server.end()
            yield Said(
                shown + _log(server),
                _kept(folder),
                [PASSWORD, API_KEY, token, token.split(".")[2], expired, expired.split(".")[2]],
            )


def _use(server: FlagServer, token: str, expired: str) -> str:
    """Ask it in every way that concerns a secret; what it shows afterwards."""
    assert _reserve(server, token)
    for headers in (
        {},
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"Bearer {expired}"},
        {"Authorization": f"Basic {API_KEY}"},
        {"X-API-Key": API_KEY},
        {"X-API-Key": f"{API_KEY}-wrong"},
    ):
        for path in (FLAGS, f"{FLAGS}/{KEY}"):
            server.ask(path, {"context": USER}, headers=headers)
    server.ask(FLAGS, {"context": {**USER, "targetingKey": 1}})
    return _pages(server)


def _reserve(server: FlagServer, token: str) -> bool:
    path = f"/{NAMESPACE}/v1/quota/{KEY}/reserve"
    status, _, _ = server.ask(path, {"context": USER}, headers={"Authorization": f"Bearer {token}"})
    return status in (200, 429)


def _pages(server: FlagServer) -> str:
    pages = [str(server.ask(path)[1]) for path in ("/", "/metrics", "/livez", "/readyz", f"/{NAMESPACE}/status")]
    assert "brownout_flags_sync_age_seconds" in pages[1]
    return "\n".join(pages)


def _kept(folder: Path) -> str:
    """Its snapshot's folder, but for the file of API keys that it was given."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "api-keys")
    return "\n".join(file.read_bytes().decode(errors="replace") for file in files)


def _log(server: FlagServer) -> str:
    return "\n".join(json.dumps(line) for line in list(server.lines))


def test_no_password_key_or_token_is_in_logs_metrics_or_pages(said: Said) -> None:
    assert "quota storage lost" in said.text
    for secret in said.secrets:
        assert secret not in said.text


def test_nothing_that_a_user_says_is_in_logs_metrics_or_pages(said: Said) -> None:
    assert PERSON not in said.text
    assert EMAIL not in said.text


def test_no_secret_and_no_user_is_in_what_it_keeps_on_disk(said: Said) -> None:
    assert KEY in said.kept
    for secret in [*said.secrets, PERSON, EMAIL]:
        assert secret not in said.kept
