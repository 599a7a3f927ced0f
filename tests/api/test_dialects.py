import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.api.dialects import (
    ErrorAnswer,
    Item,
    UnusableAnswer,
    data_uri,
    inline_bytes,
    kept_answer,
    parse_error,
    parse_generation,
    request_body,
)
from batchgen.api.outcomes import Facts, Kind, classify
from batchgen.secret import Secret

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


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("data", "error", "detail", "created", "message", "msg", "code", "type", "param"), anything),
)


@given(
    fields,
    st.lists(st.fixed_dictionaries({}, optional={"url": anything, "b64_json": anything, "error": fields}), max_size=3),
)
def test_any_json_is_read_without_an_accident(answer: dict[str, Any], items: list[dict[str, Any]]) -> None:
    for value in (answer, answer | {"data": items}, answer | {"error": answer}):
        body = json.dumps(value).encode()
        error = parse_error(body, SECRET)
        assert all(len(text) <= 500 and text.encode() is not None for text in (error.code, error.type, error.message))
        try:
            generation = parse_generation(body, SECRET)
        except UnusableAnswer:
            continue
        assert parse_generation(kept_answer(generation.items)).items == tuple(
            Item(item.url, item.inline) for item in generation.items
        )


@pytest.mark.parametrize("depth", range(960, 1010))
def test_lists_as_deep_as_python_goes_are_read_or_refused(depth: int) -> None:
    """Where reading still works, writing the same down for a message may not."""
    for nested in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        for body in (nested, b'{"error":{"message":%b,"code":%b}}' % (nested, nested), b'{"data":[%b]}' % nested):
            assert isinstance(parse_error(body), ErrorAnswer)
            with pytest.raises(UnusableAnswer):
                parse_generation(body)


KEY = "sk-canary/9f8e7d6c5b4a+=x"
SECRET = Secret(KEY)


def test_the_key_is_hidden_in_whatever_an_error_says_before_it_is_cut() -> None:
    body = json.dumps({"error": {"message": "x" * 490 + KEY, "code": KEY, "type": [KEY], "param": "y" * 90 + KEY}})
    page = f"<html><title>{'x' * 190}{KEY}</title>"

    error = parse_error(body.encode(), SECRET)

    said = f"{error} {parse_error(page.encode(), SECRET)}"
    assert not any(KEY[at : at + 6] in said for at in range(len(KEY) - 6))


@pytest.mark.parametrize("link", [f"https://x/p.png?key={KEY}", f"https://{KEY}/p", f"https://x/{quote(KEY, safe='')}"])
def test_a_link_that_holds_the_key_is_no_picture(link: str) -> None:
    with pytest.raises(UnusableAnswer, match="holds the key"):
        parse_generation(json.dumps({"data": [{"url": link}]}).encode(), SECRET)

    both = parse_generation(json.dumps({"data": [{"url": link, "b64_json": "QUJD"}]}).encode(), SECRET)
    assert both.items[0].url is None
    assert both.items[0].inline == "QUJD"


def test_pictures_beside_an_error_are_taken_because_they_are_paid_for() -> None:
    body = json.dumps({"error": {"message": "one of two failed"}, "data": [{"url": "https://x/1"}, {"error": "no"}]})

    assert [item.url for item in parse_generation(body.encode()).items] == ["https://x/1", None]


def test_an_answer_of_thousands_of_links_gives_a_hundred_and_says_how_many_more() -> None:
    body = json.dumps({"data": [{"url": f"https://x/{number}"} for number in range(5000)]}).encode()

    generation = parse_generation(body)

    assert len(generation.items) == 100
    assert generation.left_out == 4900


@pytest.mark.parametrize("link", ["https://x/" + "y" * 40_000, "https://x/\ud800"])
def test_a_link_that_nobody_could_follow_is_none(link: str) -> None:
    with pytest.raises(UnusableAnswer, match="a link"):
        parse_generation(json.dumps({"data": [{"url": link}]}).encode())


@pytest.mark.parametrize(
    "link",
    ["data:image/png;base64,QUJD", "DATA:image/png;name=x;BASE64,QUJD", " data:,ABC", "data:image/png,%41B%43"],
)
def test_a_link_that_is_the_picture_itself_is_read_on_the_spot(link: str) -> None:
    (item,) = parse_generation(json.dumps({"data": [{"url": link}]}).encode()).items

    assert item.url is None
    assert item.inline is not None
    assert inline_bytes(item.inline) == b"ABC"


@pytest.mark.parametrize("text", ["QUJ\nDRA==", "QUJD RA", "QUJDRA", "\r\nQUJDRA==\r\n"])
def test_base64_in_lines_or_without_its_padding_is_still_the_picture(text: str) -> None:
    assert inline_bytes(text) == b"ABCD"


def test_base64_longer_than_any_picture_is_refused_before_it_is_decoded() -> None:
    class Unreadable(str):
        __slots__ = ()

        def __len__(self) -> int:
            return 1 << 30

        def encode(self, *_: Any) -> bytes:
            raise AssertionError("it was read")

    with pytest.raises(ValueError, match="no picture"):
        inline_bytes(Unreadable("QUJD"))


@pytest.mark.parametrize("unit", [b"{},", b"[1],", b'"\\u0041\\u0041\\u0041\\u0041",'])
def test_a_large_answer_of_nothing_but_parts_or_escapes_is_not_even_parsed(unit: bytes) -> None:
    count = 17_000_000 // len(unit)
    with pytest.raises(UnusableAnswer, match="far too many parts"):
        parse_generation(b'{"data":[' + unit * count + b"{}]}")
