import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.api.dialects import (
    ErrorAnswer,
    UnusableAnswer,
    data_uri,
    inline_bytes,
    parse_error,
    parse_generation,
    request_body,
)
from batchgen.api.outcomes import Facts, Kind, classify

GOLDEN = Path(__file__).parent.parent / "golden"
REQUESTS: list[dict[str, Any]] = json.loads((GOLDEN / "requests.json").read_text())
RESPONSES: list[dict[str, Any]] = json.loads((GOLDEN / "responses.json").read_text())


@pytest.mark.parametrize("case", REQUESTS, ids=[case["name"] for case in REQUESTS])
def test_a_request_is_what_the_page_describes(case: dict[str, Any]) -> None:
    body = request_body(case["model"], case["prompt"], case["seed"], case["params"], case["extra_params"])

    assert json.loads(body) == case["body"]


def _pictures(body: bytes) -> list[dict[str, str]]:
    pictures = []
    for item in parse_generation(body).items:
        picture = {"url": item.url, "b64": item.inline}
        found = {key: value for key, value in picture.items() if value}
        if found:
            pictures.append(found)
    return pictures


@pytest.mark.parametrize("case", RESPONSES, ids=[case["name"] for case in RESPONSES])
def test_an_answer_means_what_it_says(case: dict[str, Any]) -> None:
    body, means = case["body"].encode(), case["means"]
    success = 200 <= case["status"] < 300
    error = ErrorAnswer() if success else parse_error(body)

    outcome = classify(Facts(sent=True, complete=True, status=case["status"], error=error))

    assert outcome.kind == means["kind"]
    if success and means["pictures"]:
        assert _pictures(body) == means["pictures"]
    elif success:
        with pytest.raises(UnusableAnswer):
            parse_generation(body)
    else:
        assert (error.code, error.request_id) == (means["code"], means["request_id"])
        assert means["message"] in error.message or error.message in means["message"]


HOSTILE = {
    "a hundred thousand brackets": b"[" * 100_000,
    "a number of five thousand digits": b'{"created": ' + b"9" * 5000 + b', "data": [{"url": "u"}]}',
    "not a number": b'{"created": NaN, "data": [{"url": "u"}]}',
    "bad utf-8": b'{"data": [{"url": "\xff\xfe"}]}',
    "null": b"null",
    "a number": b"7",
    "data that is text": b'{"data": "https://x"}',
    "items of wrong types": b'{"data": [null, 7, [], {"url": 5, "b64_json": {}}]}',
    "nothing": b"",
    "a web page": b"<html><title>502 Bad Gateway</title></html>",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_body_can_do_worse_than_be_unusable(body: bytes) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        parse_generation(body)

    assert str(caught.value)
    assert isinstance(parse_error(body), ErrorAnswer)


def test_a_byte_order_mark_is_no_reason_to_lose_a_picture() -> None:
    assert parse_generation(b'\xef\xbb\xbf{"data": [{"url": "https://x/1"}]}').items[0].url == "https://x/1"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_accident(body: bytes) -> None:
    parse_error(body)
    try:
        parse_generation(body)
    except UnusableAnswer:
        return


@given(st.binary(max_size=200))
def test_a_picture_comes_out_of_its_data_uri_byte_for_byte(data: bytes) -> None:
    body = json.dumps({"data": [{"b64_json": data_uri(data, "image/png")}, {"b64_json": "QQ=="}]}).encode()

    item = parse_generation(body).items[0]

    assert (inline_bytes(item.inline) if item.inline else b"") == data


def test_text_that_is_not_base64_is_said_to_be_so() -> None:
    with pytest.raises(ValueError, match="base64"):
        inline_bytes("not base64!")
    assert inline_bytes(base64.b64encode(b"fine").decode()) == b"fine"


def test_prompts_of_any_script_are_sent_as_they_are() -> None:
    prompt = '"HELLO" 你好 🌆 [/b] {{ : # \\ \u2028'

    assert json.loads(request_body("m", prompt, 1, {}, {}))["prompt"] == prompt


def test_money_in_doubt_is_never_called_free() -> None:
    for case in RESPONSES:
        if case["means"]["kind"] == "unknown":
            error = parse_error(case["body"].encode())
            outcome = classify(Facts(sent=True, complete=True, status=case["status"], error=error))
            assert outcome.kind is Kind.UNKNOWN
