"""A flag set as a FeatureFlag resource."""

import json

from brownout.flags.render import render
from brownout.publish.feature_flag import Found, document, found, nothing
from flags.builders import NAMESPACE, TIERS, policy

SET = render(NAMESPACE, policies=[policy()], tiers=TIERS, overrides=(), now=0.0)
STANDS = Found(uid="u-1", resource_version="7", generation=2, ours=True, version="old")


def test_it_is_the_set_word_for_word_under_our_label_with_its_version() -> None:
    made = document(SET, "brownout", onto=None)
    assert made["spec"]["flagSpec"] == json.loads(SET.document)
    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "brownout"}
    assert made["metadata"]["annotations"] == {"brownout.dev/flag-set-version": SET.version}


def test_it_is_written_onto_the_very_object_that_was_looked_at() -> None:
    meta = document(SET, "brownout", onto=STANDS)["metadata"]
    assert (meta["uid"], meta["resourceVersion"]) == ("u-1", "7")
    assert "uid" not in document(SET, "brownout", onto=None)["metadata"]


def test_a_kind_without_metadata_gets_none() -> None:
    spec = document(SET, "brownout", onto=None, with_metadata=False)["spec"]["flagSpec"]
    assert "metadata" not in spec
    assert not any("metadata" in flag for flag in spec["flags"].values())
    assert spec["flags"].keys() == json.loads(SET.document)["flags"].keys()


def test_it_is_ours_by_its_label_alone() -> None:
    assert found({"uid": "u", "labels": {"app.kubernetes.io/managed-by": "brownout"}}).ours
    assert not found({"uid": "u", "labels": {"app.kubernetes.io/managed-by": "Helm"}}).ours
    assert not found({"uid": "u", "annotations": {"brownout.dev/flag-set-version": "x"}}).ours


def test_what_is_taken_back_names_no_field() -> None:
    assert nothing(NAMESPACE, "brownout", onto=STANDS) == {
        "apiVersion": "core.openfeature.dev/v1beta1",
        "kind": "FeatureFlag",
        "metadata": {"name": "brownout", "namespace": NAMESPACE, "uid": "u-1"},
    }
