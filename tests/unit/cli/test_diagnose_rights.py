"""What each process needs, as `brownout diagnose` asks it of the API server."""

from collections.abc import Sequence

import pytest

from brownout.cli.diagnosing.found import Found, Process
from brownout.cli.diagnosing.rights import Needed, of_the_flag_servers, of_the_operator

NOTHING = Found(now=0.0, cli_version="1")
LEASES = [Needed(verb, "coordination.k8s.io", "leases", "system") for verb in ("get", "create", "update")]


def process(*arguments: str, command: Sequence[str] = ()) -> Process:
    container = {"name": "main", "command": list(command), "args": list(arguments)}
    return Process(
        component="operator",
        pod={"metadata": {"namespace": "system", "name": "operator-0"}, "spec": {"containers": [container]}},
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--watch-namespaces", "a", "b", "--leader-elect"),
        ("--watch-namespaces=a", "--http-port=80", "--watch-namespaces", "b"),
    ],
)
def test_an_option_is_read_however_it_is_written(words: tuple[str, ...]) -> None:
    assert process("operator", *words).option("--watch-namespaces") == ["a", "b"]
    assert process(command=["brownout", "operator", *words]).option("--watch-namespaces") == ["a", "b"]
    assert process("operator", *words).option("--prometheus-url") == []


def test_an_operator_that_watches_everything_needs_everything_everywhere() -> None:
    needs = set(of_the_operator(NOTHING, process("operator")))
    assert Needed("watch", "brownout.dev", "featurepolicies") in needs
    assert Needed("create", "events.k8s.io", "events") in needs
    assert not any(need.namespace for need in needs)


def test_an_operator_that_watches_two_namespaces_needs_its_kinds_there_and_gpus_everywhere() -> None:
    needs = set(of_the_operator(NOTHING, process("operator", "--watch-namespaces", "a", "b")))
    for namespace in ("a", "b"):
        assert Needed("watch", "brownout.dev", "featurepolicies", namespace) in needs
        assert Needed("patch", "brownout.dev", "featurepolicies/status", namespace) in needs
        assert Needed("create", "events.k8s.io", "events", namespace) in needs
    everywhere = {need.resource for need in needs if not need.namespace}
    assert everywhere == {"gpupools", "gpupools/status", "nodes", "pods", "namespaces", "resourcequotas"}


def test_one_that_elects_needs_the_lease_of_its_own_namespace() -> None:
    needs = list(of_the_operator(NOTHING, process("operator", "--leader-elect")))
    assert [need for need in needs if need.resource == "leases"] == LEASES
    assert not any(need.resource == "leases" for need in of_the_operator(NOTHING, process("operator")))


def test_flag_servers_read_the_namespaces_that_they_serve() -> None:
    assert {need.namespace for need in of_the_flag_servers(process("flags", "serve"))} == {""}
    served = of_the_flag_servers(process("flags", "serve", "--namespace=a", "--namespace=b"))
    assert {need.namespace for need in served} == {"a", "b"}
