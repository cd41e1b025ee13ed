"""How types become schemas."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from brownout.api.openapi import schema_of
from brownout.api.schema import Object


class Inner(Object, frozen=True, kw_only=True):
    """Words for
    kubectl explain.
    """

    size: Annotated[int, Meta(ge=1, le=9, description="how much")] = 5


class Outer(Object, frozen=True, kw_only=True):
    must_be: str
    may_be: Annotated[str, Meta(max_length=3)] | None = None
    inner: Inner = Inner()
    only_if_written: Inner | None = None
    names: tuple[str, ...] = ()


def test_an_optional_field_is_left_out_of_required_and_is_never_null() -> None:
    schema = schema_of(Outer)
    assert schema["required"] == ["mustBe"]
    assert schema["properties"]["mayBe"] == {"type": "string", "maxLength": 3}


def test_a_parent_of_defaults_has_an_empty_default_and_an_optional_one_has_none() -> None:
    fields = schema_of(Outer)["properties"]
    assert fields["inner"]["default"] == {}
    assert fields["inner"]["properties"]["size"]["default"] == 5
    assert "default" not in fields["onlyIfWritten"]


def test_an_empty_list_is_no_default() -> None:
    assert "default" not in schema_of(Outer)["properties"]["names"]


def test_descriptions_come_from_docstrings_and_fields() -> None:
    inner = schema_of(Outer)["properties"]["inner"]
    assert inner["description"] == "Words for kubectl explain."
    assert inner["properties"]["size"]["description"] == "how much"


def test_status_has_no_defaults() -> None:
    inner = schema_of(Outer, status=True)["properties"]["inner"]
    assert "default" not in inner
    assert "default" not in inner["properties"]["size"]


@pytest.mark.parametrize("kind", [float, int | bool, list[str] | str, Any])
def test_a_type_without_a_structural_schema_is_refused_by_name(kind: Any) -> None:
    wrong = msgspec.defstruct("Wrong", [("field", kind)], bases=(Object,), frozen=True, kw_only=True)
    with pytest.raises(TypeError, match="has no structural schema"):
        schema_of(wrong)


def test_a_default_that_its_type_does_not_have_is_refused() -> None:
    wrong = msgspec.defstruct("Wrong", [("field", Inner, Inner(size=6))], bases=(Object,), frozen=True, kw_only=True)
    with pytest.raises(TypeError, match="field: a default that differs"):
        schema_of(wrong)
