"""Notes as Kubernetes Events."""

from datetime import UTC, datetime

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.outcome import Note
from brownout.publish.events import Said, event

AT = datetime(2026, 1, 1, tzinfo=UTC)


def said(*, namespace: str = "media", message: str = "1 -> 2 replicas", warning: bool = False) -> Said:
    """A note about a scaler."""
    key = Key(namespace, "image")
    return Said(Note(kind="InferenceScaler", key=key, reason=Reason.DEMAND, message=message, warning=warning), "uid-1")


def test_an_event_tells_of_the_object_by_uid_in_its_namespace() -> None:
    found = event(said(), at=AT, instance="operator-0")
    assert found["metadata"]["namespace"] == "media"
    assert found["regarding"]["uid"] == "uid-1"
    assert (found["reason"], found["note"], found["type"]) == ("Demand", "1 -> 2 replicas", "Normal")
    assert found["eventTime"] == "2026-01-01T00:00:00.000000Z"


def test_an_event_about_a_cluster_scoped_object_lives_in_default() -> None:
    found = event(said(namespace=""), at=AT, instance="operator-0")
    assert found["metadata"]["namespace"] == "default"
    assert "namespace" not in found["regarding"]


def test_a_long_note_is_cut_to_what_the_api_takes() -> None:
    assert len(event(said(message="x" * 5000), at=AT, instance="i" * 500)["note"]) <= 1024


def test_a_warning_is_one() -> None:
    assert event(said(warning=True), at=AT, instance="operator-0")["type"] == "Warning"
