"""What is said about bodies and files of another shape than expected: which field, what was found, what to write."""

import json
from pathlib import Path
from typing import Any

import pytest

from brownout_inference import refusal
from brownout_inference.http import bodies
from brownout_inference.http.bodies import decoded, refuse_unsupported
from brownout_inference.http.chat import ChatBody
from brownout_inference.http.images import HARMLESS, ImageBody
from brownout_inference.refusal import RefusedError
from brownout_inference.settings import SettingsError, read_config

SEVEN = {"prompt": "a seven"}
TURN = {"role": "user", "content": "Objects"}


def refused(body: Any, shape: type[Any]) -> refusal.Refusal:
    with pytest.raises(RefusedError) as caught:
        decoded(json.dumps(body).encode(), shape)
    return caught.value.refusal


@pytest.mark.parametrize(
    ("body", "shape", "detail"),
    [
        ({}, ImageBody, "prompt is missing; write a text of 1 to 4000 characters."),
        ([], ImageBody, "The body is []; write an object."),
        ({"prompt": ""}, ImageBody, 'prompt is ""; write a text of 1 to 4000 characters.'),
        ({**SEVEN, "n": 20}, ImageBody, "n is 20; write a whole number from 1 to 10."),
        ({**SEVEN, "n": 10**40}, ImageBody, f"n is {10**40}; write a whole number from 1 to 10."),
        ({**SEVEN, "output_format": "gif"}, ImageBody, 'output_format is "gif"; write "jpeg", "png" or "webp".'),
        ({**SEVEN, "model": 7}, ImageBody, "model is 7; write a text."),
        ({"messages": []}, ChatBody, "messages is []; write a list of 1 to 1000."),
        ({"messages": [TURN, 7]}, ChatBody, "messages[1] is 7; write an object."),
        ({"messages": [TURN], "temperature": 3}, ChatBody, "temperature is 3; write a number from 0 to 2."),
        ({"messages": [TURN], "max_tokens": 0}, ChatBody, "max_tokens is 0; write a whole number of 1 or more."),
        ({"messages": [TURN], "stream": "yes"}, ChatBody, 'stream is "yes"; write true or false.'),
        ({"messages": [TURN], "stop": [""]}, ChatBody, 'stop[0] is ""; write a text of 1 to 200 characters.'),
        (
            {"messages": [TURN], "stop": ["a"] * 5},
            ChatBody,
            'stop is ["a","a","a","a","a"]; write a text of 1 to 200 characters or a list of at most 4.',
        ),
        (
            {"messages": [{"role": "me"}]},
            ChatBody,
            'messages[0].role is "me"; write "assistant", "developer", "function", "system", "tool" or "user".',
        ),
    ],
)
def test_a_field_of_another_shape_is_named_with_what_was_found_and_what_to_write(
    body: Any, shape: type[Any], detail: str
) -> None:
    assert refused(body, shape).detail == detail


def test_what_was_found_is_cut_where_it_is_long() -> None:
    assert refused({**SEVEN, "n": "7" * 1000}, ImageBody).detail.startswith(f'n is "{"7" * 59}...; write')


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"foo": 1}, "foo"),
        ({"messages": [{**TURN, "foo": 1}]}, "messages[0].foo"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "foo": 1}]}]}, "messages[0].content[0].foo"),
        ({"stream": True, "stream_options": {"foo": 1}}, "stream_options.foo"),
    ],
)
def test_an_unknown_parameter_is_named_wherever_it_lies(more: dict[str, Any], field: str) -> None:
    found = refused({"messages": [TURN], **more}, ChatBody)
    assert (found.reason, found.parameter, found.detail) == (
        "unknown_parameter",
        field,
        f"Unknown parameter: {field}.",
    )


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ({"style": "vivid"}, 'style is "vivid", which is not supported here; leave it out.'),
        (
            {"quality": "hd"},
            'quality is "hd", which is not supported here; write "auto" or "standard", or leave it out.',
        ),
    ],
)
def test_what_is_not_supported_says_what_to_write_or_to_leave_it_out(more: dict[str, Any], detail: str) -> None:
    body = decoded(json.dumps({**SEVEN, **more}).encode(), ImageBody)
    with pytest.raises(RefusedError) as caught:
        refuse_unsupported(body, HARMLESS)
    assert caught.value.refusal.detail == detail


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "features: {avatars: {stepz: 4}}",
            "unknown field features.avatars.stepz; write one of api, flagKey, steps, side, frames, maxTokens or objectiveSeconds, or leave it out",
        ),
        ("features: {avatars: {api: audio}}", 'features.avatars.api is "audio"; write "images", "videos" or "chat"'),
        ("features: {4: {steps: 8}}", "features.4 is no text; write a text as its name, such as '4' in quotes"),
        ("maxBatch: many", 'maxBatch is "many"; write a whole number'),
        ("device: tpu", 'device is "tpu"; write "auto", "cpu" or "cuda"'),
        ("- image", 'the file is ["image"]; write an object'),
        ("", "the file is null; write an object"),
        ("features: [", " is neither YAML nor JSON: "),
    ],
)
def test_a_configuration_file_is_refused_in_one_line_that_names_feature_and_field(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_config(path)
    said = str(caught.value)
    assert said.startswith(f"--config {path}")
    assert words in said
    assert "\n" not in said


def test_of_a_large_body_the_decoder_says_what_is_wrong_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(*_: object, **__: object) -> None:
        raise AssertionError("its smallest wrong part was looked for")

    monkeypatch.setattr(bodies, "fault", searched)
    parts = [{"type": "text"}] * 900
    wrong = {"messages": [*[{"role": "user", "content": parts}] * 3, {"role": "x"}]}
    with pytest.raises(RefusedError, match=r"messages\[3\].role") as caught:
        decoded(json.dumps(wrong).encode(), ChatBody)
    assert caught.value.refusal.status == 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": [{"role": "user"}] * 1001}, "messages is .*; write a list of 1 to 1000"),
        (
            {"messages": [{"role": "user", "content": [{"type": ""}] * 1001}]},
            r"messages\[0\].content is .*; write a text or a list of at most 1000",
        ),
    ],
)
def test_a_conversation_has_bounds(body: dict[str, object], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        decoded(json.dumps(body).encode(), ChatBody)
