"""News in the form of each service, with signatures computed here a second time, from the services' own words."""

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from batchgen.notify.messages import News, is_taken, request_for, shortened

NEWS = News("failure", "batchgen foo: budget reached\nbatchgen run jobs/foo.yaml", {"job": "foo", "exit_code": 5})
URL = "https://hooks.example/x?token=abc%2Fdef"
NOW = 1_800_000_000.25


def body_of(to: str, news: News = NEWS, secret: str = "") -> dict[str, object]:
    loaded: dict[str, object] = json.loads(request_for(to, URL, secret, news, NOW).body)
    return loaded


def test_each_service_gets_the_text_where_it_looks_for_it() -> None:
    assert body_of("slack") == {"text": NEWS.text}
    assert body_of("feishu") == body_of("lark") == {"msg_type": "text", "content": {"text": NEWS.text}}
    assert body_of("dingtalk") == body_of("wecom") == {"msgtype": "text", "text": {"content": NEWS.text}}
    assert body_of("webhook") == {"job": "foo", "exit_code": 5, "event": "failure", "text": NEWS.text}


def test_an_address_goes_out_as_it_was_given() -> None:
    assert str(request_for("slack", URL, "", NEWS, NOW).url) == URL


def test_feishu_signs_an_empty_text_with_time_and_secret() -> None:
    body = body_of("feishu", secret="s3cret")

    expected = hmac.new(b"1800000000\ns3cret", b"", hashlib.sha256).digest()
    assert (body["timestamp"], body["sign"]) == ("1800000000", base64.b64encode(expected).decode())


def test_dingtalk_signs_time_and_secret_in_the_address() -> None:
    request = request_for("dingtalk", "https://oapi.example/robot/send?access_token=t", "SECa", NEWS, NOW)

    query = parse_qs(urlsplit(str(request.url)).query)
    expected = hmac.new(b"SECa", b"1800000000250\nSECa", hashlib.sha256).digest()
    assert query["access_token"] == ["t"]
    assert query["timestamp"] == ["1800000000250"]
    assert query["sign"] == [base64.b64encode(expected).decode()]
    assert "+" not in str(request.url).partition("sign=")[2]


def test_a_webhook_is_signed_over_its_very_bytes() -> None:
    request = request_for("webhook", URL, "s3cret", NEWS, NOW)

    expected = hmac.new(b"s3cret", request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Batchgen-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize(("event", "path"), [("start", "/x/start"), ("success", "/x"), ("failure", "/x/fail")])
def test_a_heartbeat_says_by_its_address_what_happened(event: str, path: str) -> None:
    request = request_for("heartbeat", "https://hc.example/x", "", News(event, "batchgen foo"), NOW)

    assert request.url.path == path
    assert request.body == b"batchgen foo"


def test_no_text_calls_everybody() -> None:
    hostile = News("failure", 'batchgen <!channel> & <at user_id="all">x</at>: done\ncommand')

    assert "<" not in str(body_of("slack", hostile))
    assert "<" not in str(body_of("feishu", hostile))


@pytest.mark.parametrize("limit", [30, 60, 100, 2_000])
def test_a_long_text_keeps_its_command_and_cuts_no_character(limit: int) -> None:
    text = "霓虹城市" * 400 + "\nbatchgen run x"

    cut = shortened(text, limit)

    assert len(cut.encode()) <= limit
    assert "\ufffd" not in cut
    assert cut.endswith("…\nbatchgen run x")
    assert shortened("short", 30) == "short"


def test_a_command_that_leaves_no_room_for_news_is_cut_too() -> None:
    cut = shortened("batchgen foo: failed\nbatchgen run " + "x" * 200, 60)

    assert cut.startswith("batchgen foo: failed\n")
    assert len(cut.encode()) <= 60


@pytest.mark.parametrize(
    ("to", "status", "body", "words"),
    [
        ("slack", 200, b"ok", ""),
        ("slack", 404, b"no_service", "it answered 404"),
        ("webhook", 204, b"", ""),
        ("webhook", 302, b"", "it answered 302"),
        ("feishu", 200, b'{"code": 0, "msg": "success"}', ""),
        ("feishu", 200, b'{"StatusCode": 0}', ""),
        ("feishu", 200, b'{"code": 19021, "msg": "sign match fail"}', "it answered with its error 19021"),
        (
            "dingtalk",
            200,
            b'{"errcode": 310000, "errmsg": "keywords not in content"}',
            "it answered with its error 310000",
        ),
        ("wecom", 200, b'{"errcode": 0}', ""),
        ("wecom", 200, b"<html>", "it answered nothing that says so"),
        ("wecom", 200, b"[" * 100_000, "it answered nothing that says so"),
        ("wecom", 200, b'{"errcode": true}', "it answered nothing that says so"),
    ],
)
def test_robots_that_answer_200_to_everything_are_read(to: str, status: int, body: bytes, words: str) -> None:
    assert is_taken(to, status, body) == words
