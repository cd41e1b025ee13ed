"""Prometheus' answers: what counts as evidence, and what is said of the rest."""

import json
from typing import Any

import pytest

from brownout.decide.evidence import Missing, Sample
from brownout.decide.snapshot import Audience
from brownout.observe import answers
from brownout.observe.answers import PARTIAL, Series


def answer(kind: str, result: Any) -> bytes:
    """A successful answer as Prometheus writes it."""
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def vector(*values: str, **labels: str) -> bytes:
    """An instant vector: a series for each value."""
    return answer("vector", [{"metric": {**labels, "n": str(n)}, "value": [1.0, v]} for n, v in enumerate(values)])


def words(found: object) -> str:
    """The sentence of a Missing."""
    assert isinstance(found, Missing)
    return found.message


def test_one_finite_series_is_a_sample_as_of_the_evaluation() -> None:
    assert answers.single(answers.decode(vector("1.5")), query="up", at=7.0) == Sample(1.5, 7.0)


def test_nobody_is_told_to_take_an_outage_for_zero() -> None:
    said = words(answers.single(answers.decode(vector()), query="up", at=7.0))
    assert said == "the query returns nothing; check that its metric exists and is scraped: up"


def test_a_query_is_shown_as_far_as_a_person_reads() -> None:
    said = words(answers.single((), query="x" * 4096, at=7.0))
    assert len(said) < 400
    assert said.endswith("xxx...")


def test_a_scalar_is_a_sample_too() -> None:
    assert answers.single(answers.decode(answer("scalar", [1.0, "3"])), query="up", at=7.0) == Sample(3.0, 7.0)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (vector(), "returns nothing"),
        (vector("1", "2"), "more than one series"),
        (vector("NaN"), "NaN"),
        (vector("+Inf"), "infinity"),
        (vector("-Inf"), "infinity"),
        (answer("matrix", []), "returns a range"),
        (answer("string", [1.0, "x"]), "no number"),
        (answer("vector", [{"metric": {}, "histogram": [1.0, {}]}]), "histogram"),
        (b"<html>", "not one of Prometheus"),
        (b'{"status":"error"}', "not one of Prometheus"),
        (b"{}", "not one of Prometheus"),
        (answer("vector", [{"metric": {}, "value": [1.0, "x"]}]), "not one of Prometheus"),
    ],
)
def test_anything_else_is_missing_with_a_sentence(body: bytes, said: str) -> None:
    assert said in words(answers.single(answers.decode(body), query="up", at=0.0))


@pytest.mark.parametrize(
    ("more", "whole"),
    [
        ({"warnings": None}, True),
        ({"warnings": ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]}, True),
        ({"warnings": ['PromQL info: metric might not be a counter: "load" (1:6)', "results truncated due to limit"]}, True),
        ({"infos": ["PromQL info: metric might not be a counter"], "isPartial": False}, True),
        ({"warnings": ["remote_read: remote server http://away returned HTTP status 503"]}, False),
        ({"warnings": ["PromQL warning: a", "receive series from Addr: 10.0.0.7:10901: unavailable"]}, False),
        ({"warnings": ["3 more warning annotations omitted"]}, False),
        ({"isPartial": True}, False),
    ],
)  # fmt: skip
def test_a_part_of_the_data_is_no_evidence(more: dict[str, Any], whole: bool) -> None:
    body = json.dumps(json.loads(vector("1")) | more).encode()
    assert (answers.decode(body) != PARTIAL) is whole
    assert "10.0.0.7" not in PARTIAL.message  # nobody's addresses are told


@pytest.mark.parametrize("body", [vector("1"), answer("scalar", [1.0, "3"])], ids=["vector", "scalar"])
@pytest.mark.parametrize(("now", "said"), [(601.0, "600 s old"), (-599.0, "600 s ahead")])
def test_an_answer_of_another_time_is_no_evidence(body: bytes, now: float, said: str) -> None:
    found = words(answers.single(answers.decode(body, now=now), query="up", at=now))
    assert said in found
    assert "clocks" in found


def test_clocks_may_differ_by_what_a_query_takes() -> None:
    assert answers.single(answers.decode(vector("1"), now=31.0), query="up", at=31.0) == Sample(1.0, 31.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
def test_a_refusal_names_its_status_and_what_to_do(status: int) -> None:
    said = words(answers.refused(status))
    assert f"HTTP {status}" in said
    assert ";" in said


def rates(*series: tuple[dict[str, str], float]) -> Any:
    """The demand in these series."""
    return answers.rates(
        tuple(Series(labels, value) for labels, value in series),
        query="up",
        tier_label="tier",
        cohort_label="cohort",
        at=5.0,
    )


def test_demand_has_a_rate_for_each_tier_and_cohort() -> None:
    found = rates(({"tier": "free", "cohort": "new"}, 2.0), ({"tier": "free"}, 3.0))
    assert found == {Audience("free", "new"): Sample(2.0, 5.0), Audience("free"): Sample(3.0, 5.0)}


def test_an_audience_without_a_finite_rate_has_not_been_measured() -> None:
    found = rates(({"tier": "free"}, float("nan")), ({"tier": "plus"}, -1.0), ({"tier": "pro"}, 1.0))
    assert found == {Audience("pro"): Sample(1.0, 5.0)}


def test_two_series_for_one_audience_are_missing_rather_than_one_of_them() -> None:
    assert "two series for free" in words(
        rates(({"tier": "free", "pod": "a"}, 1.0), ({"tier": "free", "pod": "b"}, 1.0))
    )


def test_a_series_without_a_tier_is_missing() -> None:
    assert "no label 'tier'" in words(rates(({"pod": "a"}, 1.0)))


def test_no_series_at_all_is_missing_and_not_zero() -> None:
    assert "returns nothing" in words(rates())


def test_too_many_series_are_missing() -> None:
    many = tuple(({"tier": f"t{n}"}, 1.0) for n in range(answers.MAX_AUDIENCES + 1))
    assert "more than 1000 series" in words(rates(*many))


def users(*series: tuple[dict[str, str], float]) -> Any:
    """The heaviest users in these series."""
    return answers.users(
        tuple(Series(labels, value) for labels, value in series),
        tier_label="tier",
        cohort_label="cohort",
        user_label="user",
        at=5.0,
    )


def test_the_heaviest_users_have_a_rate_each() -> None:
    found = users(({"tier": "free", "cohort": "new", "user": "ana"}, 2.0), ({"tier": "free", "user": "ana"}, 3.0))
    assert found == {Audience("free", "new", "ana"): Sample(2.0, 5.0), Audience("free", "", "ana"): Sample(3.0, 5.0)}


def test_no_heavy_users_is_an_answer_and_not_missing() -> None:
    assert users() == {}


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb", "a\u202eb"])
def test_a_name_that_no_targetingkey_can_be_is_left_alone(name: str) -> None:
    assert users(({"tier": "free", "user": name}, 9.0)) == {}


def test_a_user_without_a_finite_rate_is_left_alone() -> None:
    assert users(({"tier": "free", "user": "ana"}, float("inf")), ({"tier": "free", "user": "ben"}, -1.0)) == {}


def test_two_series_for_one_user_are_missing_and_name_nobody() -> None:
    said = words(users(({"tier": "free", "user": "ana", "pod": "a"}, 1.0), ({"tier": "free", "user": "ana"}, 1.0)))
    assert "two series for one user of free" in said
    assert "ana" not in said


def test_a_user_without_a_tier_is_missing() -> None:
    assert "no label 'tier'" in words(users(({"user": "ana"}, 1.0)))


def test_too_many_users_are_missing() -> None:
    many = tuple(({"tier": "free", "user": f"u{n}"}, 1.0) for n in range(answers.MAX_USERS + 1))
    assert "topk" in words(users(*many))
