"""The flag server as a process without any API server: everything it says comes from its snapshot, to stock clients."""

import argparse
import signal
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2, sync_pb2_grpc

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.tier import USER_TIER
from brownout.cli.flags import register, settings_of
from brownout.cli.main import main
from brownout.flags.cells import Override, Policy
from brownout.flags.render import AUDIENCE
from brownout.flags.snapshot import encode, write
from flags.builders import DENIED, FULL, NAMESPACE, TIERS, cell, override, policy
from flags.process import NOWHERE, FlagServer, flag_server, in_process_client, ofrep_client
from support.waiting import wait_for

FREE = {"plan": "free", "accountCreatedAt": 1_500_000_000, "targetingKey": "f"}
KEY = "image-generation"


def rfc3339(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat().replace("+00:00", "Z")


class Disk:
    """A folder of snapshots, and a kubeconfig that leads nowhere."""

    def __init__(self, folder: Path) -> None:
        self.snapshots = folder / "snapshots"
        self.snapshots.mkdir()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(NOWHERE)

    def keep(self, *policies: Policy, overrides: Iterable[Override] = (), namespace: str = NAMESPACE) -> None:
        objects = {FEATURE_POLICY.plural: policies, USER_TIER.plural: TIERS, FEATURE_OVERRIDE.plural: tuple(overrides)}
        write(self.snapshots, namespace, encode(objects, saved_at=0.0))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def shed() -> Policy:
    """Free users have `lite`, new accounts nothing, nor has one user of the rest."""
    return policy(
        cells=[
            cell("free", "lite"),
            cell("free", "denied", cohort="new-accounts"),
            cell("free", "denied", user="batch-job"),
        ]
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlagServer]:
    """A server of one namespace, for the tests that leave it as it is."""
    disk = Disk(tmp_path_factory.mktemp("shared"))
    disk.keep(shed())
    with flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots) as running:
        yield running


@pytest.fixture
def sync(server: FlagServer) -> Iterator[sync_pb2_grpc.FlagSyncServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield sync_pb2_grpc.FlagSyncServiceStub(channel)


# Stock clients


def test_stock_clients_are_served_from_the_snapshot(server: FlagServer) -> None:
    with ofrep_client(server, NAMESPACE) as ofrep, in_process_client(server, NAMESPACE) as in_process:
        for client in (ofrep, in_process):
            assert client.variant(KEY, plan="pro") == "full"
            assert client.value(KEY, plan="pro") == FULL
            assert client.variant(KEY, **FREE) == "lite"
            assert client.variant(KEY, **{**FREE, "targetingKey": "batch-job"}) == "denied_capacity"
            assert client.variant(KEY, plan="free") == "denied_new_accounts"
            assert client.value(KEY) == DENIED
            assert client.value("brownout.audience", **FREE) == {"tier": "free", "cohort": "", "priority": 10}


def test_an_override_ends_by_itself_in_every_client(disk: Disk) -> None:
    ends = time.time() + 10  # the server and two clients have to be there before
    disk.keep(policy(), overrides=[override(expires=rfc3339(ends), created_at=time.time() - 60)])
    with (
        flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots) as server,
        ofrep_client(server, NAMESPACE) as ofrep,
        in_process_client(server, NAMESPACE) as in_process,
    ):
        assert [client.variant(KEY, **FREE) for client in (ofrep, in_process)] == ["denied_override"] * 2
        for client in (ofrep, in_process):
            wait_for(lambda client=client: client.variant(KEY, **FREE) == "full", "the override has ended")
        assert time.time() >= ends


def test_clients_find_the_server_again_after_its_restart(disk: Disk) -> None:
    disk.keep(shed())
    with (
        flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots) as server,
        ofrep_client(server, NAMESPACE) as ofrep,
        in_process_client(server, NAMESPACE) as in_process,
    ):
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        assert in_process.variant(KEY, **FREE) == "lite"
        disk.keep(policy(cells=[cell("free", "denied")]))
        server.start()
        assert ofrep.variant(KEY, **FREE) == "denied_capacity"
        wait_for(lambda: in_process.variant(KEY, **FREE) == "denied_capacity", "the provider has the new set")


# OFREP


def test_an_answer_has_the_shape_of_ofrep(server: FlagServer) -> None:
    status, body, headers = server.ask(f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}", {"context": FREE})
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body.keys() == {"key", "value", "reason", "variant", "metadata"}
    assert (body["key"], body["variant"], body["reason"]) == (KEY, "lite", "TARGETING_MATCH")


def test_the_namespace_may_be_left_out_where_only_one_is_served(server: FlagServer) -> None:
    assert server.ask(f"/ofrep/v1/evaluate/flags/{KEY}", {"context": FREE})[1]["variant"] == "lite"


def test_a_request_without_context_is_the_unknown_user(server: FlagServer) -> None:
    for body in (b"", {}, {"context": {}}):
        assert server.ask(f"/ofrep/v1/evaluate/flags/{KEY}", body)[1]["variant"] == "denied_new_accounts"


def test_an_unknown_flag_is_a_404_in_the_shape_of_ofrep(server: FlagServer) -> None:
    status, body, _ = server.ask(f"/{NAMESPACE}/ofrep/v1/evaluate/flags/nope", {"context": FREE})
    assert (status, body["key"], body["errorCode"]) == (404, "nope", "FLAG_NOT_FOUND")
    assert body["errorDetails"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"{", "PARSE_ERROR", "body"),
        (b"\xff\xfe", "PARSE_ERROR", "body"),
        (b'{"context": {"a": NaN}}', "PARSE_ERROR", "context.a"),
        (b'{"context": {"a": 1e999}}', "PARSE_ERROR", "context.a"),
        (b'{"context": {"plan": "free", "plan": "pro"}}', "INVALID_CONTEXT", "context.plan"),
        (rb'{"context": {"a": "\ud800"}}', "PARSE_ERROR", "context.a"),
        (b"[" * 60_000, "PARSE_ERROR", "body"),
        (b"[]", "PARSE_ERROR", "body"),
        (b'"context"', "PARSE_ERROR", "body"),
        (b'{"context": []}', "INVALID_CONTEXT", "context"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT", "context.targetingKey"),
        (b'{"context": {"targetingKey": {}}}', "INVALID_CONTEXT", "context.targetingKey"),
        (b'{"context": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}", "INVALID_CONTEXT", "context.a"),
        (b'{"context": {"a": "' + b"x" * 100_000 + b'"}}', "INVALID_CONTEXT", "body"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_hostile_request_is_a_400_that_names_the_field(
    server: FlagServer, body: bytes, code: str, field: str
) -> None:
    for path, keys in ((f"/ofrep/v1/evaluate/flags/{KEY}", {"key"}), ("/ofrep/v1/evaluate/flags", set())):
        status, answer, _ = server.ask(path, body)
        assert (status, answer["errorCode"]) == (400, code)
        assert answer["errorDetails"].startswith(f"{field}:")
        assert answer.keys() == {"errorCode", "errorDetails"} | keys


def test_an_unchanged_bulk_answer_is_a_304(server: FlagServer) -> None:
    path, body = f"/{NAMESPACE}/ofrep/v1/evaluate/flags", {"context": FREE}
    status, answer, headers = server.ask(path, body)
    assert status == 200
    assert [flag["key"] for flag in answer["flags"]] == ["brownout.audience", KEY]
    assert answer["metadata"]["flagSetId"] == NAMESPACE
    for sent in (headers["ETag"], f'"other", W/{headers["ETag"]}'):
        status, answer, again = server.ask(path, body, headers={"If-None-Match": sent})
        assert (status, answer, again["ETag"]) == (304, "", headers["ETag"])


def test_another_user_never_gets_a_304_for_somebody_elses_answer(server: FlagServer) -> None:
    path = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
    _, _, headers = server.ask(path, {"context": {**FREE, "plan": "plus"}})
    status, answer, _ = server.ask(
        path, {"context": {**FREE, "plan": "pro"}}, headers={"If-None-Match": headers["ETag"]}
    )
    assert status == 200
    assert {flag["variant"] for flag in answer["flags"]} == {"pro", "full"}


# flagd sync


def test_the_selector_may_be_in_the_header_or_in_the_request(sync: sync_pb2_grpc.FlagSyncServiceStub) -> None:
    for selector in (NAMESPACE, f"flagSetId={NAMESPACE}", f"source={NAMESPACE}", ""):
        in_request = sync.FetchAllFlags(sync_pb2.FetchAllFlagsRequest(selector=selector), timeout=5)
        in_header = sync.FetchAllFlags(
            sync_pb2.FetchAllFlagsRequest(), metadata=(("flagd-selector", selector),), timeout=5
        )
        assert f'"flagSetId":"{NAMESPACE}"' in in_request.flag_configuration
        assert in_request == in_header


def test_both_protocols_carry_one_version(server: FlagServer, sync: sync_pb2_grpc.FlagSyncServiceStub) -> None:
    _, answer, _ = server.ask(f"/{NAMESPACE}/ofrep/v1/evaluate/flags", {"context": FREE})
    stream = sync.SyncFlags(sync_pb2.SyncFlagsRequest(selector=NAMESPACE), timeout=5)
    assert f'"version":"{answer["metadata"]["version"]}"' in next(stream).flag_configuration
    stream.cancel()


def test_metadata_needs_no_selector(sync: sync_pb2_grpc.FlagSyncServiceStub) -> None:
    assert sync.GetMetadata(sync_pb2.GetMetadataRequest(), timeout=5).HasField("metadata")


@pytest.mark.parametrize(
    "selector",
    ["../etc", "a b", "flagSetId=", "source=./flags.json", "tier=free", f"flagSetId={NAMESPACE},source={NAMESPACE}"],
)
def test_a_selector_that_names_no_namespace_is_an_error_that_says_what_to_write(
    sync: sync_pb2_grpc.FlagSyncServiceStub, selector: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        sync.FetchAllFlags(sync_pb2.FetchAllFlagsRequest(selector=selector), timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert NAMESPACE in caught.value.details()


def test_without_a_selector_several_namespaces_are_an_error_that_lists_them(disk: Disk) -> None:
    disk.keep(policy())
    disk.keep(policy(namespace="other"), namespace="other")
    with (
        flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
    ):
        stub = sync_pb2_grpc.FlagSyncServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.SyncFlags(sync_pb2.SyncFlagsRequest(), timeout=5))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details().endswith("media, other")
        assert server.ask("/ofrep/v1/evaluate/flags", {})[0] == 400


# The process


@pytest.mark.parametrize("namespaces", [[], [NAMESPACE]])
def test_without_snapshot_and_api_server_nothing_is_made_up(disk: Disk, namespaces: list[str]) -> None:
    if namespaces:
        disk.keep(policy(namespace="other"), namespace="other")
    with flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots, namespaces=namespaces) as server:
        assert server.ask("/readyz")[0] == 503
        assert server.ask("/livez")[0] == 200
        status, body, _ = server.ask(f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}", {"context": FREE})
        assert (status, body.keys()) == (500, {"errorDetails"})
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            with pytest.raises(grpc.RpcError) as caught:
                sync_pb2_grpc.FlagSyncServiceStub(channel).FetchAllFlags(
                    sync_pb2.FetchAllFlagsRequest(selector=NAMESPACE), timeout=5
                )
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_server_with_a_snapshot_is_ready_and_says_that_it_has_not_heard_the_api_server(server: FlagServer) -> None:
    status, body, _ = server.ask("/readyz")
    assert (status, body["ready"], body["synced"], body["syncAgeSeconds"]) == (200, True, False, None)
    assert server.metric("brownout_flags_sync_age_seconds") == -1
    assert server.metric("brownout_flags_sets") == 1
    wait_for(
        lambda: server.metric("brownout_flags_sync_errors_total", kind="featurepolicies") > 0, "errors are counted"
    )


def test_from_a_snapshot_with_an_object_that_cannot_be_read_nothing_is_served(disk: Disk) -> None:
    """Without a policy a client would serve the code's default, and without a tier its users would be those of a lesser one."""
    disk.keep(policy())
    write(disk.snapshots, "other", encode({FEATURE_POLICY.plural: [policy(namespace="other")]}, saved_at=0.0))
    kept = disk.snapshots / f"{NAMESPACE}.flags.json"
    kept.write_bytes(kept.read_bytes().replace(b'"priority":100', b'"priority":"high"'))
    with flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots) as server:
        assert server.ask("/readyz")[1]["sets"].keys() == {"other"}
        status, body, _ = server.ask(f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}", {"context": FREE})
        assert (status, body.keys()) == (500, {"errorDetails"})


def test_an_unreadable_snapshot_is_counted_and_the_others_are_served(disk: Disk) -> None:
    disk.keep(policy())
    (disk.snapshots / "broken.flags.json").write_text("{")
    with flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots) as server:
        assert server.metric("brownout_flags_snapshot_errors_total", operation="read") == 1
        assert server.ask(f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}", {"context": FREE})[1]["variant"] == "full"


def test_outcomes_are_counted(server: FlagServer) -> None:
    def count(outcome: str) -> float:
        return server.metric("brownout_flags_evaluations_total", endpoint="single", outcome=outcome)

    before = count("ok"), count("flag_not_found")
    server.ask(f"/ofrep/v1/evaluate/flags/{KEY}", {"context": FREE})
    server.ask("/ofrep/v1/evaluate/flags/nope", {"context": FREE})
    assert (count("ok"), count("flag_not_found")) == (before[0] + 1, before[1] + 1)


def test_sigterm_ends_the_process_gracefully_with_a_stream_open(disk: Disk) -> None:
    disk.keep(shed())
    with (
        flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots) as server,
        in_process_client(server, NAMESPACE),
    ):
        wait_for(lambda: server.metric("brownout_flags_streams") == 1, "the stream is counted")
        assert server.end() == 0


def test_a_port_that_is_taken_is_a_sentence_and_not_a_traceback(disk: Disk, server: FlagServer) -> None:
    second = FlagServer(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots)
    second.http_port = server.http_port
    with pytest.raises(
        AssertionError, match=r"brownout flags serve: .*address already in use; name a free one by --http-port"
    ):
        second.start()
    assert second.end() == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--jwt-jwks", "https://id/keys"], "--jwt-issuer: is needed beside --jwt-jwks"),
        (["--jwt-jwks", "https://id/keys", "--jwt-issuer", "i"], "--jwt-audience: is needed beside --jwt-jwks"),
        (["--jwt-issuer", "i"], "by --jwt-jwks"),
        (["--require-credentials"], "by --api-keys or --jwt-jwks"),
        (["--cors-origin", "app.example.com"], "write SCHEME://HOST"),
        (["--namespace", "Media_1"], "--namespace: found 'Media_1'; write a namespace's name"),
        (["--namespace", ""], "--namespace: found ''; write"),
        (["--notice-spread", "-1"], "--notice-spread: found -1; write seconds from 0 to 3600"),
        (["--notice-spread", "nan"], "--notice-spread: found nan; write"),
        (["--believe-empty-after", "inf"], "--believe-empty-after: found inf; write"),
        (["--most-event-streams", "-5"], "--most-event-streams: found -5; write 0 to"),
        (["--http-port", "70000"], "--http-port: found 70000; write 0 to 65535"),
        (["--public-url", "flags.example.com"], "--public-url: found 'flags.example.com'; write http:// or https://"),
        (["--public-url", "https://flags.example.com/?a=b"], "--public-url: found"),
        (["--public-url", "https://me:secret@flags.example.com"], "--public-url: found"),
        (["--public-url", "https://flags.example.com:port"], "--public-url: found"),
        (["--public-url", "https:///v2"], "--public-url: found"),
    ],
)
def test_settings_that_cannot_be_are_a_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "nowhere")
    assert main(["flags", "serve", *options]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--api-keys", "--jwt-jwks"])
def test_keys_that_cannot_be_read_are_a_sentence_and_not_a_traceback(disk: Disk, option: str) -> None:
    options = [option, str(disk.snapshots / "absent"), "--jwt-issuer=i", "--jwt-audience=a"]
    options = options if option == "--jwt-jwks" else options[:2]
    server = FlagServer(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots, options=options)
    with pytest.raises(AssertionError, match=r"brownout flags serve: (?=.*absent)(?=.*No such file)"):
        server.start()
    assert server.end() == 1


def test_a_public_listener_by_its_options(disk: Disk) -> None:
    disk.keep(policy())
    keys = disk.snapshots / "api-keys"
    keys.write_text("gateway\n")
    options = ["--public", "--api-keys", str(keys), "--cors-origin", "https://app.example.com"]
    with flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots, options=options) as server:
        path = f"/ofrep/v1/evaluate/flags/{AUDIENCE}"
        headers = {"Origin": "https://app.example.com"}
        _, body, told = server.ask(path, {"context": {"plan": "pro"}}, headers=headers)
        assert (body["variant"], told["Access-Control-Allow-Origin"]) == ("free.new-accounts", headers["Origin"])
        _, body, _ = server.ask(path, {"context": {"plan": "pro"}}, headers={"X-API-Key": "gateway"})
        assert body["variant"] == "pro"


def test_a_public_listener_that_can_tell_nobody_says_so_at_the_start(disk: Disk) -> None:
    disk.keep(policy())
    with flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots, options=["--public"]) as server:
        _, body, _ = server.ask(f"/ofrep/v1/evaluate/flags/{AUDIENCE}", {"context": {"plan": "pro"}})
        assert body["variant"] == "free.new-accounts"
        assert any("name them by --jwt-jwks or --api-keys" in line["message"] for line in server.lines)


def test_settings_that_can_be_are_taken() -> None:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    options = ["--public-url", "https://[::1]:8443/v2/", "--notice-spread", "0", "--namespace", "media"]
    settings = settings_of(parser.parse_args(["flags", "serve", *options, "--namespace", "media"]))
    assert (settings.public_url, settings.notice_spread_seconds) == ("https://[::1]:8443/v2/", 0.0)
    assert settings.namespaces == ("media",)


@pytest.mark.parametrize("named", ["--kubeconfig", "KUBECONFIG"])
def test_a_kubeconfig_that_is_not_there_is_named(
    named: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    options = ["--kubeconfig", "/nowhere"] if named == "--kubeconfig" else []
    assert main(["flags", "serve", "--http-port", "0", *options]) == 1
    assert capsys.readouterr().err.startswith(f"error: {named}: /nowhere: no such file")


def test_without_a_cluster_the_command_says_what_to_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # without a kubeconfig
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["flags", "serve"]) == 2
    assert "write --kubeconfig, set KUBECONFIG, make ~/.kube/config, or run it as a pod" in capsys.readouterr().err


def test_a_percentage_is_of_the_same_users_in_every_protocol(disk: Disk) -> None:
    disk.keep(policy(cells=[cell("free", "full", 40)]))
    with (
        flag_server(kubeconfig=disk.kubeconfig, snapshot_dir=disk.snapshots) as server,
        ofrep_client(server, NAMESPACE) as ofrep,
        in_process_client(server, NAMESPACE) as in_process,
    ):
        users = [
            {**FREE, "targetingKey": key} for key in (*(f"user-{n}" for n in range(100)), "ä", "名前", "😀", "x" * 70)
        ]
        served = [ofrep.variant(KEY, **user) for user in users]
        assert served == [in_process.variant(KEY, **user) for user in users]
        assert {"full", "lite"} == set(served)
