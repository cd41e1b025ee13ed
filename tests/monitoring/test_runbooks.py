"""Each alert has a runbook that says the same things in the same order, with commands that there are."""

import re
import shlex
from collections.abc import Iterator

import pytest

from brownout.api.resources import RESOURCES
from brownout.cli.main import COMMANDS, parser
from monitoring.rules import RUNBOOKS, alerts

SECTIONS = ("What it means", "What users see", "Look", "Do", "Do not")
OURS = {"brownout", *(name for each in RESOURCES for name in (each.plural, each.kind.lower(), *each.short_names))}
THEIRS = {
    *(
        "pod",
        "pods",
        "node",
        "nodes",
        "namespaces",
        "roles",
        "rolebindings",
        "deploy",
        "svc",
        "secrets",
        "events",
        "crds",
        "endpointslices",
        "resourcequota",
        "lease",
    ),
    *("validatingwebhookconfigurations", "validatingadmissionpolicies"),
}
pages = pytest.mark.parametrize("name", alerts())


def text(name: str) -> str:
    return (RUNBOOKS / f"{name}.md").read_text()


def commands(program: str) -> Iterator[tuple[str, str]]:
    """Every command line of a program in the runbooks, up to a pipe or a redirection, with the runbook's name."""
    for path in sorted(RUNBOOKS.glob("*.md")):
        page = path.read_text()
        for block in re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                if line.startswith(f"{program} "):
                    yield path.stem, re.split(r" [|>] ", line)[0]
        for inline in re.findall(rf"`({program} [^`]+)`", page):
            yield path.stem, inline


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(alerts())


def test_the_links_are_to_the_alerts_own_runbooks() -> None:
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"{name}.md"


@pages
def test_a_runbook_says_what_it_means_what_users_see_where_to_look_what_to_do_and_what_not(name: str) -> None:
    page = text(name)
    assert page.startswith(f"# {name}\n")
    assert tuple(re.findall(r"^## (.+)$", page, re.MULTILINE)) == SECTIONS
    assert all(part.strip() for part in re.split(r"^## .+$", page, flags=re.MULTILINE)[1:])


@pages
def test_other_alerts_that_a_runbook_names_are_there(name: str) -> None:
    assert set(re.findall(r"\bBrownout[A-Z]\w+", text(name))) <= set(alerts())


def test_every_brownout_command_is_one_that_the_command_line_takes() -> None:
    found = list(commands("brownout"))
    assert len(found) > len(alerts())
    for name, line in found:
        words = shlex.split(line)[1:]
        if len(words) == 1:
            assert words[0] in {command.name for command in COMMANDS}, (name, line)
        else:
            parser(words[0]).parse_args(words)  # ends the test where it does not understand


def test_kubectl_commands_name_kinds_that_there_are() -> None:
    for name, line in commands("kubectl"):
        words = [word for word in shlex.split(line)[1:] if not word.startswith("-")]
        while words and words[0] in ("brownout-system", "NAMESPACE"):
            words.pop(0)
        verb, *rest = words
        if verb in ("get", "describe") and not rest[0].startswith("/"):
            kinds = set(rest[0].split(","))
            assert kinds <= OURS | THEIRS, (name, line)


def test_rights_to_namespaced_objects_are_asked_for_in_a_namespace() -> None:
    """Without one `kubectl auth can-i` asks for the context's own, where `watchNamespaces` may grant nothing."""
    cluster_scoped = {resource.plural for resource in RESOURCES if not resource.namespaced}
    asked = [(name, line) for name, line in commands("kubectl") if " auth can-i " in line]
    assert asked
    for name, line in asked:
        words = shlex.split(line)
        what = words[words.index("can-i") + 2].split(".")[0]
        assert ("-n" in words) == (what not in cluster_scoped), (name, line)
