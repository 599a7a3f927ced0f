"""One piece of news in the form that each service wants it, signed where the service asks for that.

The forms are those of the services' own pages: Slack's incoming webhooks, custom bots of Feishu, Lark and DingTalk, group
robots of WeCom. It refuses to send anything.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from yarl import URL

_LONGEST = {"slack": 3_000, "feishu": 6_000, "lark": 6_000, "dingtalk": 6_000, "wecom": 2_000}
"""Bytes of text. Feishu and DingTalk bound the body, where JSON makes three bytes of one."""
_LONGEST_ANYWHERE = 15_000
_ROOM = re.compile(r"@(?=(?:all|here|channel|everyone)\b|所有人)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class News:
    """What happened: for people and for programs."""

    event: str
    """`start`, `success` or `failure`."""
    text: str
    """Lines for people; the last one is the command to type."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs, in JSON's own types."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to be sent."""

    url: URL
    body: bytes
    headers: Mapping[str, str]


def request_for(to: str, url: str, secret: str, news: News, now: float) -> Request:
    """What to send to a service, or to a heartbeat monitor. `now` (UTC seconds) goes into signatures.

    Raises ValueError for an address that is none.
    """
    target = address(url)
    text = shortened(news.text, _LONGEST.get(to, _LONGEST_ANYWHERE))
    if to == "heartbeat":
        return _heartbeat(target, news, text)
    if to == "dingtalk" and secret:
        # It wants its signature in the address, with every sign of base64 escaped.
        stamp = str(round(now * 1000))
        signature = base64.b64encode(_hmac(secret.encode(), f"{stamp}\n{secret}"))
        separator = "&" if target.raw_query_string else "?"
        target = address(f"{target}{separator}timestamp={stamp}&sign={quote(signature.decode(), safe='')}")
    content = _CONTENTS[to](text, news)
    if to in {"feishu", "lark"} and secret:
        stamp = str(int(now))
        content |= {"timestamp": stamp, "sign": base64.b64encode(_hmac(f"{stamp}\n{secret}".encode(), "")).decode()}
    body = json.dumps(content).encode("ascii")
    headers = {"Content-Type": "application/json"}
    if to == "webhook" and secret:
        headers["X-Batchgen-Signature"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    return Request(target, body, headers)


def address(url: str) -> URL:
    """`url` as it was given, sign by sign, since a token in it may be written in any way. Raises ValueError for none."""
    is_ready = url.isascii() and url.isprintable() and " " not in url
    return URL(url, encoded=True) if is_ready else URL(url)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _heartbeat(target: URL, news: News, text: str) -> Request:
    """The address itself for success, and below it `start` and `fail`, as monitors of this kind have it."""
    below = {"start": "start", "failure": "fail"}.get(news.event)
    if below:
        # Not yarl's `/`, which drops the query: some monitors make a missing check because of one.
        path, question, query = str(target.with_fragment(None)).partition("?")
        target = address(f"{path.rstrip('/')}/{below}{question}{query}")
    return Request(target, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})


def _webhook(text: str, news: News) -> dict[str, Any]:
    return {**news.facts, "event": news.event, "text": text}


def _slack(text: str, _: News) -> dict[str, Any]:
    # Slack reads <!channel> and the like in what is no HTML at all; these three it wants escaped.
    return {"text": _calling_nobody(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _feishu(text: str, _: News) -> dict[str, Any]:
    # `<at user_id="all">` in a text calls everybody, and has no escape.
    return {"msg_type": "text", "content": {"text": text.replace("<", "\uff1c")}}


def _dingtalk(text: str, _: News) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": _calling_nobody(text)}}


def _calling_nobody(text: str) -> str:
    """Without the words that call a whole room: what takes Slack's form need not be Slack."""
    return _ROOM.sub("\uff20", text)


_CONTENTS: dict[str, Callable[[str, News], dict[str, Any]]] = {
    "webhook": _webhook,
    "slack": _slack,
    "feishu": _feishu,
    "lark": _feishu,
    "dingtalk": _dingtalk,
    "wecom": _dingtalk,
}


def is_taken(to: str, status: int, body: bytes) -> str:
    """Empty when a service took the message, else what it answered instead, without any text of its own.

    The robots of Feishu, Lark, DingTalk and WeCom answer 200 to everything, with a code that is 0 for success.
    """
    if not 200 <= status < 300:
        return f"it answered {status}"
    key = {"feishu": "code", "lark": "code", "dingtalk": "errcode", "wecom": "errcode"}.get(to)
    if key is None:
        return ""
    try:
        answer = json.loads(body)
        code = answer.get(key, answer.get("StatusCode")) if isinstance(answer, dict) else None
    except (ValueError, RecursionError):
        code = None
    if type(code) is not int:
        return "it answered nothing that says so"
    return "" if code == 0 else f"it answered with its error {code}"


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8, no character cut in two; its last line, the command, stays whole if it can."""
    if len(text.encode()) <= limit:
        return text
    head, _, last = text.rpartition("\n")
    ending = f"…\n{last}"
    room = limit - len(ending.encode())
    if room < limit // 4:
        head, ending = text, "…"
        room = limit - len(ending.encode())
    return head.encode()[:room].decode("utf-8", "ignore") + ending
