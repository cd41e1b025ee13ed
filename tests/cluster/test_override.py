"""`brownout override` on a real control plane: what it writes is served at once, and its end too."""

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from support.command import brownout, printed_json
from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World
from support.waiting import wait_for

pytest_plugins = ("support.operator_fixtures",)

Run = Callable[..., "CompletedProcess[str]"]
DENY = ("override", FEATURE, "--tier", "free", "--variant", "denied", "--for", "1h", "--reason", "incident 4711")


@pytest.fixture
def run(world: World) -> Run:
    """Runs a command for the world's namespace."""
    return lambda *words: brownout(world.cluster.kubeconfig, *words, "-n", world.namespace.name)


def names(world: World) -> list[str]:
    return [found["metadata"]["name"] for found in world.namespace.list(API_VERSION, "FeatureOverride")]


def overridden(world: World) -> str:
    cells = world.status("FeaturePolicy", FEATURE).get("cells", ())
    return next((cell.get("overriddenTo", "") for cell in cells if cell["tier"] == "free"), "none yet")


def test_an_override_stands_above_the_loop_until_it_is_ended(world: World, operator: Operator, run: Run) -> None:
    world.wait_for_variant("free", "full")

    made = run(*DENY)

    assert made.returncode == 0, made.stderr
    (name,) = names(world)
    lines = made.stdout.splitlines()
    assert lines[0] == f"featureoverride.brownout.dev/{name} created"
    assert lines[1].startswith(f"  {FEATURE} for free: denied until ")
    assert lines[1].endswith("(in 1h)")
    assert lines[2] == "  before: free has full"
    wait_for(lambda: overridden(world) == "denied", "the operator says that free is overridden")
    told = printed_json(run("why", "plan=free,targetingKey=u-1", FEATURE, "-o", "json"))
    assert (told["decidedBy"], told["variant"], told["disagreement"]) == ("override", "denied_override", "")
    assert run("why", "plan=pro", FEATURE).stdout.splitlines()[0].endswith("(pro): full")

    ended = run("override", "--end", FEATURE)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0] == f"featureoverride.brownout.dev/{name} deleted"
    assert "the loop's again" in ended.stdout
    assert names(world) == []
    wait_for(lambda: overridden(world) == "", "free is the loop's again")


def test_a_manifest_is_printed_without_field_managers(run: Run) -> None:
    printed = printed_json(run(*DENY, "--dry-run=server", "-o", "json"))

    assert "managedFields" not in printed["metadata"]
    assert printed["spec"]["variant"] == "denied"


def test_status_of_a_namespace_without_anything_says_that_it_may_be_another(world: World) -> None:
    told = brownout(world.cluster.kubeconfig, "status", "-n", "nowhere")

    assert told.returncode == 0, told.stderr
    *warnings, last = told.stderr.splitlines()
    assert last == "No features or scalers in nowhere namespace; -A shows those of all."
    assert all(line.startswith("warning: ") and "nobody decides now" in line for line in warnings)
    assert told.stdout.startswith("POOL")


def test_a_dry_run_writes_nothing(world: World, run: Run) -> None:
    for kind, words in (("client", "(dry run)"), ("server", "(server dry run)")):
        tried = run(*DENY, f"--dry-run={kind}")
        assert tried.returncode == 0, tried.stderr
        assert tried.stdout.splitlines()[0].endswith(f" created {words}")
    assert printed_json(run(*DENY, "--dry-run", "-o", "json"))["spec"]["variant"] == "denied"
    assert names(world) == []
    assert run(*DENY, "--name", "mine", "-o", "name").stdout == "featureoverride.brownout.dev/mine\n"
    assert run("override", "--end", "mine", "--dry-run=server").returncode == 0
    assert names(world) == ["mine"]


def test_what_the_api_server_refuses_is_said_as_kubectl_says_it(world: World, run: Run) -> None:
    assert run(*DENY, "--name", "mine").returncode == 0

    again = run(*DENY, "--name", "mine")
    assert again.returncode == 1
    assert again.stderr.startswith("Error from server (AlreadyExists): featureoverrides.brownout.dev")
    assert again.stdout == ""

    unknown = run("override", FEATURE, "--tier", "gold", "--variant", "denied", "--for", "1h", "--reason", "x")
    assert unknown.stderr == f"error: {FEATURE} lists no tier 'gold'; write one of free, pro\n"
    absent = run("override", "--end", "theirs")
    assert f"there are: mine (of {FEATURE})" in absent.stderr
    nowhere = run("why", "plan=free", FEATURE, "--context", "elsewhere")
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith("error: context 'elsewhere' does not exist")
