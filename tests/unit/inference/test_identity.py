"""Who asks, from the gateway's headers."""

import pytest

from brownout_inference.identity import HeaderError, context_of


def test_the_headers_make_an_evaluation_context() -> None:
    context = context_of(
        {"X-Brownout-User": "ana", "X-Brownout-Plan": "free", "X-Brownout-Account-Created-At": "1767225600"}
    )
    assert context.targeting_key == "ana"
    assert context.attributes == {"plan": "free", "accountCreatedAt": 1_767_225_600}


def test_the_users_time_zone_is_an_attribute() -> None:
    assert context_of({"X-Brownout-Time-Zone": "America/Argentina/Salta"}).attributes == {
        "zoneinfo": "America/Argentina/Salta"
    }


def test_an_absent_header_leaves_its_attribute_absent() -> None:
    context = context_of({})
    assert context.targeting_key is None
    assert context.attributes == {}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Brownout-User", ""),
        ("X-Brownout-User", "   "),
        ("X-Brownout-User", "a" * 257),
        ("X-Brownout-User", "a\x07b"),
        ("X-Brownout-Plan", ""),
        ("X-Brownout-Plan", "pro plus"),
        ("X-Brownout-Plan", "p" * 64),
        ("X-Brownout-Account-Created-At", "yesterday"),
        ("X-Brownout-Account-Created-At", "-5"),
        ("X-Brownout-Account-Created-At", "1.5e9"),
        ("X-Brownout-Account-Created-At", "٣"),
        ("X-Brownout-Time-Zone", ""),
        ("X-Brownout-Time-Zone", "../../etc/passwd"),
        ("X-Brownout-Time-Zone", "Europe/" + "P" * 99),
    ],
)
def test_a_malformed_header_is_refused_by_name(header: str, value: str) -> None:
    with pytest.raises(HeaderError, match=header):
        context_of({header: value})
