"""`brownout override`: what may be said, what it says that it changes, and which words it ends."""

from typing import Any

import pytest

from brownout.api.override import CellRef
from brownout.cli.durations import seconds, span
from brownout.cli.failure import CommandError
from brownout.cli.main import main
from brownout.cli.overriding.request import Asked, manifest, stored
from brownout.cli.overriding.words import changed, left, to_end
from brownout.cli.validation.objects import problems
from flags.builders import NAMESPACE, TIERS, always, auto, cell, never, override, policy

NOW = 1_796_000_000.0  # 2026-11-30T00:53:20Z
HOUR = 3600.0
LATER = "2099-01-01T00:00:00Z"


def asked(**changes: Any) -> Asked:
    return Asked(**{"variant": "denied", "seconds": HOUR, "reason": "incident 4711", "tiers": ("free",)} | changes)


def refusal(**changes: Any) -> str:
    entries = [always("pro"), auto("plus"), never("free")] if changes.pop("free_is_never", False) else None
    one = policy(tiers=entries) if entries else policy()
    with pytest.raises(CommandError) as refused:
        manifest(asked(**changes), one, TIERS, now=NOW)
    assert str(refused.value).startswith("error: ")
    return str(refused.value)


def test_the_override_is_what_was_asked_for_and_ends_by_itself() -> None:
    body = manifest(asked(cohort="new-accounts"), policy(), TIERS, now=NOW)
    assert problems(body) == []
    assert body["metadata"] == {"name": "image-generation-free-1130-005320", "namespace": NAMESPACE}
    assert body["spec"] == {
        "policyRef": {"name": "image-generation"},
        "cells": [{"tier": "free", "cohort": "new-accounts"}],
        "variant": "denied",
        "expireTime": "2026-11-30T01:53:20Z",
        "reason": "incident 4711",
    }


def test_an_empty_cohort_is_the_rest_of_a_tier() -> None:
    body = manifest(asked(cohort=""), policy(), TIERS, now=NOW)
    assert problems(body) == []
    assert body["spec"]["cells"] == [{"tier": "free", "cohort": ""}]


def test_everybody_is_an_override_without_cells() -> None:
    assert "cells" not in manifest(asked(tiers=()), policy(), TIERS, now=NOW)["spec"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"variant": "off"}, "image-generation has no variant 'off'; write one of full, lite, denied"),
        ({"tiers": ("gold",)}, "image-generation lists no tier 'gold'; write one of free, plus, pro"),
        ({"cohort": "old"}, "tier free has no cohort 'old'; write one of new-accounts"),
        ({"tiers": ("pro",), "cohort": "old"}, "tier pro has no cohort 'old'; it has none, so leave the cohort out"),
        ({"free_is_never": True}, "gives tier free no part in the feature (Never), which an override cannot change; write one of plus, pro"),
        ({"seconds": 8 * 86400.0}, "--for: found 8d; write at most 7d: a person's word is never for ever"),
        ({"reason": ""}, "found 0 characters; write at least 1"),
        ({"name": "Incident!"}, 'found "Incident!"; write lower-case letters'),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_refused_with_what_does(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**changes)


def test_what_it_changes_is_said_with_what_they_have_now_and_what_it_stands_above() -> None:
    one = policy(cells=[cell("free", "full", 40), cell("free", "lite", cohort="new-accounts"), cell("pro", "full")])
    word = stored(manifest(asked(), one, TIERS, now=NOW), namespace=NAMESPACE, now=NOW)
    older = override("older", variant="lite", expires=LATER, created_at=NOW - 60)
    others = override("others", cells=[CellRef(tier="pro")], expires=LATER, created_at=NOW - 60)
    assert list(changed(word, one, [older, others], now=NOW)) == [
        "image-generation for free: denied until 2026-11-30T01:53:20Z (in 1h)",
        "before: free has full 40 %, lite 60 %; free/new-accounts has lite",
        "it stands above older (everybody: lite until 2026-12-07T00:52:20Z), which is older",
    ]


def test_the_end_says_who_decides_then() -> None:
    one = policy(cells=[cell("free", "lite")])
    word = override("word", cells=[CellRef(tier="free")], expires=LATER, created_at=NOW)
    assert list(left(one, [word], [word], now=NOW)) == ["image-generation for free: the loop's again; free has lite"]
    beneath = override("beneath", variant="lite", expires=LATER, created_at=NOW - 60)
    assert list(left(one, [word], [word, beneath], now=NOW)) == [
        "image-generation for free: beneath still gives lite until 2026-12-07T00:52:20Z"
    ]


def test_an_override_is_ended_by_its_name_or_by_its_feature() -> None:
    one = policy("images", flag_key="image-generation")
    of_free = override("a", cells=[CellRef(tier="free")], expires=LATER, created_at=NOW, policy="images")
    of_plus = override("b", cells=[CellRef(tier="plus")], expires=LATER, created_at=NOW - 1, policy="images")
    over = override("c", expires="2020-01-01T00:00:00Z", policy="images")
    other = override("d", expires=LATER, created_at=NOW, policy="videos")
    words = [of_free, of_plus, over, other]

    def ended(name: str, *tiers: str) -> list[str]:
        return [word.key.name for word in to_end(name, [one], words, tiers=tiers, now=NOW, namespace=NAMESPACE)]

    assert ended("c") == ["c"]
    assert ended("images") == ended("image-generation") == ["a", "b"]
    assert ended("images", "plus") == ["b"]
    with pytest.raises(CommandError, match=r"is in force in media; there are: d \(of videos\), a \(of images\)"):
        ended("images", "pro")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["image-generation"], "--variant is missing"),
        (["image-generation", "--variant", "lite", "--for", "1h"], "--reason is missing"),
        (["image-generation", "--variant", "lite", "--for", "1h", "--reason", "x"], "whom is it about?"),
        (["image-generation", "--variant", "lite", "--for", "1h", "--reason", "x", "--everybody", "--cohort", "y"], "--cohort is of one tier"),
        (["image-generation", "--end", "x"], "--end goes with --tier, -n and --dry-run alone"),
        (["x", "--tier", "free", "--variant", "lite", "--for", "1h", "--reason", "x", "--kubeconfig", "/nowhere"], "--kubeconfig: /nowhere: no such file"),
    ],
)  # fmt: skip
def test_what_is_lacking_in_the_command_is_said_in_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["override", *words]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert sentence in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("text", "count", "back"),
    [("90s", 90, "1m 30s"), ("15m", 900, "15m"), ("1h30m", 5400, "1h 30m"), ("2d", 172800, "2d"), ("1.5h", 5400, "1h 30m")],
)  # fmt: skip
def test_spans_are_read_and_said_with_their_units(text: str, count: float, back: str) -> None:
    assert seconds(text) == count
    assert span(count) == back


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1h 30m", "0s", "1w", "1h30"])
def test_a_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a span such as"):
        seconds(text)
