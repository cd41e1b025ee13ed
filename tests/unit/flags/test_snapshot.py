"""What is kept on disk comes back as it was; what is broken is left out and told."""

from pathlib import Path

import pytest

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.tier import USER_TIER
from brownout.flags import snapshot
from brownout.flags.snapshot import Objects, Writer, encode, read, write
from flags.builders import NAMESPACE, TIERS, cell, override, policy

OBJECTS: Objects = {
    FEATURE_POLICY.plural: [policy(cells=[cell("free", "lite", 40, cohort="new-accounts")])],
    USER_TIER.plural: list(TIERS),
    FEATURE_OVERRIDE.plural: [override()],
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, NAMESPACE, encode(OBJECTS, saved_at=1.0))
    assert read(tmp_path, namespaces=[], failed=pytest.fail) == OBJECTS


def test_only_the_namespaces_that_are_served_are_read(tmp_path: Path) -> None:
    write(tmp_path, NAMESPACE, encode(OBJECTS, saved_at=1.0))
    assert not any(read(tmp_path, namespaces=["other"], failed=pytest.fail).values())


def test_nothing_but_whole_files_is_ever_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, NAMESPACE, encode(OBJECTS, saved_at=1.0))

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(snapshot.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, NAMESPACE, b"{half of a")
    assert read(tmp_path, namespaces=[], failed=pytest.fail) == OBJECTS


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99, "savedAt": 0, "objects": {}}', b"\xff"])
def test_a_file_that_cannot_be_read_is_told_and_left_out(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "broken", content)
    write(tmp_path, NAMESPACE, encode(OBJECTS, saved_at=1.0))
    sentences: list[str] = []
    assert read(tmp_path, namespaces=[], failed=sentences.append) == OBJECTS
    assert len(sentences) == 1
    assert sentences[0].startswith("broken.flags.json: ")


def test_of_a_file_with_an_object_that_cannot_be_read_nothing_is_taken_and_of_others_everything(tmp_path: Path) -> None:
    """Without its tier a paying user would be a free one, and without its policy a client would serve the code's default."""
    content = encode(OBJECTS, saved_at=1.0).replace(b'"priority":100', b'"priority":"high"')
    write(tmp_path, "broken", content)
    write(tmp_path, NAMESPACE, encode(OBJECTS, saved_at=1.0))
    sentences: list[str] = []
    assert read(tmp_path, namespaces=[], failed=sentences.append) == OBJECTS
    assert len(sentences) == 1
    assert sentences[0].startswith("broken.flags.json: UserTier: ")


def test_fields_of_a_newer_version_are_ignored(tmp_path: Path) -> None:
    content = encode(OBJECTS, saved_at=1.0).replace(b'"priority":100', b'"priority":100,"mood":"good"')
    write(tmp_path, NAMESPACE, content)
    assert read(tmp_path, namespaces=[], failed=pytest.fail) == OBJECTS


async def test_a_write_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "not-yet"
    failures: list[tuple[str, str]] = []
    writer = Writer(folder, lambda operation, sentence: failures.append((operation, sentence)))
    writer.keep(NAMESPACE, OBJECTS)
    await writer.flush()
    assert failures[0][0] == "write"
    folder.mkdir()
    await writer.flush()
    assert read(folder, namespaces=[], failed=pytest.fail) == OBJECTS
