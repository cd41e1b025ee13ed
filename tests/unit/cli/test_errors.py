"""What people see when it does not work: one line on standard error, in kubectl's words, and an exit code."""

import json
import socket
from pathlib import Path

import pytest
from kubernetes.aio.client.exceptions import ApiException

from brownout.cli.cluster import refused
from brownout.cli.main import main
from brownout.cli.options import Scope


def kubeconfig(folder: Path, server: str) -> Path:
    file = folder / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "media"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )
    return file


def said(status: int, reason: str, message: str) -> ApiException:
    error = ApiException(status=status, reason="what HTTP says")
    error.body = json.dumps({"kind": "Status", "reason": reason, "message": message})
    return error


def test_what_the_api_server_says_is_said_in_its_own_words() -> None:
    assert str(refused(said(409, "AlreadyExists", 'featureoverrides.brownout.dev "x" already exists'))) == (
        'Error from server (AlreadyExists): featureoverrides.brownout.dev "x" already exists'
    )


def test_who_may_not_is_told_which_role_to_ask_for() -> None:
    lines = str(refused(said(403, "Forbidden", "cannot list"))).splitlines()
    assert lines[0] == "Error from server (Forbidden): cannot list"
    assert "ClusterRole brownout-view" in lines[1]


def test_a_cluster_without_our_kinds_is_told_what_to_install() -> None:
    error = ApiException(status=404, reason="Not Found")
    error.body = "404 page not found"
    assert str(refused(error)) == "error: the server has no brownout.dev/v1alpha1; install the chart, or crds/"


@pytest.mark.parametrize("command", [["status"], ["why", "plan=free", "x"], ["explain"], ["override", "--end", "x"]])
def test_a_server_that_is_not_there_is_a_sentence(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:  # bound and not listening: whoever connects is refused
        closed.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code = main([*command, "--kubeconfig", str(kubeconfig(tmp_path, server))])
    printed = capsys.readouterr()
    assert code == (2 if command == ["explain"] else 1)
    assert printed.err.startswith(f"error: unable to connect to the server {server}: ")
    assert printed.out == ""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("a: [", "error: no way to the API server ("), ("", "error: no way to the API server ("), ("[]", "error: no way")],
)
def test_a_kubeconfig_that_is_none_is_a_sentence(
    content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubeconfig").write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    assert main(["status"]) == 1
    assert capsys.readouterr().err.startswith(sentence)


def test_a_kubeconfig_that_is_not_there_is_named_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert main(["status"]) == 1
    printed = capsys.readouterr()
    assert printed.err == "error: KUBECONFIG: /nowhere: no such file; name one that exists, or write --kubeconfig\n"
    assert printed.out == ""


def test_a_context_that_is_not_there_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = kubeconfig(tmp_path, "http://127.0.0.1:1")
    assert main(["status", "--kubeconfig", str(file), "--context", "there"]) == 1
    assert capsys.readouterr().err.startswith("error: context 'there' does not exist")


@pytest.mark.parametrize(
    ("scope", "wide", "one"),
    [
        (Scope(), "media", "media"),
        (Scope(namespace="games"), "games", "games"),
        (Scope(everywhere=True), None, "media"),
    ],
)
def test_a_namespace_is_the_one_that_is_said_or_else_the_contexts(scope: Scope, wide: str | None, one: str) -> None:
    assert (scope.wide("media"), scope.one("media")) == (wide, one)
    assert (Scope().wide(""), Scope().one("")) == (None, "default")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--leader-elect-lease-seconds", "10", "write a lease of one and a half times the renew deadline"),
        ("--leader-elect-retry-seconds", "6", "write a renew deadline of twice the retry or more"),
    ],
)
def test_durations_of_a_lease_that_do_not_go_together_are_refused_with_what_to_write(
    capsys: pytest.CaptureFixture[str], option: str, value: str, words: str
) -> None:
    assert main(["operator", "--leader-elect", option, value]) == 2
    said = capsys.readouterr().err
    assert said.startswith("brownout operator: --leader-elect: ")
    assert words in said
