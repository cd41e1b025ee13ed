"""What the metrics promise."""

from brownout_inference.metrics import LabelCap, Meters


def test_labels_are_bounded_and_the_rest_is_other() -> None:
    cap = LabelCap(most=2)
    assert [cap(tier) for tier in ("pro", "free", "plus", "free")] == ["pro", "free", "other", "free"]


def test_the_names_are_those_that_policies_ask_for() -> None:
    meters = Meters("image-xl")
    meters.offered("image-generation", "free", "")
    meters.admitted("image-generation", "free", "", "full")
    meters.completed("image-generation", "free", "", "full", 1.5)
    meters.gpu_busy(0.25, fill=0.5)
    page = meters.page().decode()
    assert 'brownout_feature_offered_total{cohort="",feature="image-generation",tier="free"} 1.0' in page
    assert (
        'brownout_feature_admitted_total{cohort="",feature="image-generation",tier="free",variant="full"} 1.0' in page
    )
    assert 'brownout_inference_gpu_busy_seconds_total{workload="image-xl"} 0.25' in page
    assert 'le="120.0"' in page
    assert "_created" not in page


def test_a_feature_that_nobody_has_asked_for_yet_is_asked_for_by_nobody_and_not_unknown() -> None:
    """A query that returns nothing is missing evidence, on which no feature comes back: after a rollout while users are denied a
    feature and see no button for it, there would be no series of it at all.
    """
    meters = Meters("image-xl")
    meters.answers_for("image-generation")

    assert (
        'brownout_feature_offered_total{cohort="",feature="image-generation",tier="unknown"} 0.0'
        in meters.page().decode()
    )
