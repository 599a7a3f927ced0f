"""A curl command line, as API pages show it and browsers copy it, taken apart into what it would send.

It owns the spellings of the command. It keeps no header: keys stand there. It refuses to open a file that it names.
"""

import codecs
import itertools
import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from batchgen.errors import UsageError

LONGEST = 40_000_000
"""Characters: room for a picture as a data URI."""
_BODY = {"-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json"}
_WITH_VALUE = {
    *("-H", "--header", "-X", "--request", "-o", "--output", "-m", "--max-time", "-A", "--user-agent", "-x", "--proxy"),
    *("-u", "--user", "-b", "--cookie", "-e", "--referer", "--retry", "--connect-timeout", "-w", "--write-out"),
    *("--oauth2-bearer", "--cacert", "--resolve"),
}
_ENDS = "\n|;&<>"
"""What ends a command in a shell."""
_ANSI = re.compile(r"(?<![^\s=])\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_PROMPT = re.compile(r"^\s*(?:[$#>]\s+)?(?=curl\b)", re.MULTILINE)
_TYPED = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u00a0": " "})


@dataclass(frozen=True, slots=True)
class Call:
    """Where a call goes, without its query and without a password, and the fields that it sends."""

    url: str
    body: dict[str, Any]


def read_call(text: str) -> Call:
    """The call that a curl command line makes. Raises UsageError for what is none, or holds no JSON of its own."""
    try:
        return _read(text)
    except UsageError:
        typed = text.translate(_TYPED)  # some pages make typographic quotes of those that were typed
        if typed == text:
            raise
    return _read(typed)


def _read(text: str) -> Call:
    words = _words(text)
    urls: list[str] = []
    bodies: list[str] = []
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not equals and re.match(r"-[dHXomAxube].", word):
            option, equals, value = word[:2], "=", word[2:]
        if option in _BODY:
            bodies.append(value if equals else next(rest, ""))
        elif option == "--url":
            urls.append(value if equals else next(rest, ""))
        elif option in _WITH_VALUE:
            value = value if equals else next(rest, "")
        elif not word.startswith("-"):
            urls.append(word)
    if len(urls) != 1 or not re.match(r"https?://[^/]", urls[0], re.IGNORECASE):
        raise UsageError(
            "the curl call has no address", "it begins as: curl https://api.modelverse.cn/v1/images/generations"
        )
    return Call(re.sub(r"[?#].*|(?<=://)[^/@]*@", "", urls[0], flags=re.DOTALL), _json(bodies))


def _words(text: str) -> list[str]:
    start = _PROMPT.search(text)
    if start is None or len(text) > LONGEST:
        raise UsageError("this is no curl call", "copy it whole, from `curl` on")
    text = re.sub(r"[\\^]\r?\n", " ", text[start.end() :])  # lines that go on, on either kind of shell
    text = _ANSI.sub(lambda found: shlex.quote(_unescaped(found[1])), text)
    reader = shlex.shlex(text, posix=True, punctuation_chars=_ENDS)
    reader.whitespace, reader.whitespace_split, reader.commenters = " \t\r", True, ""
    try:
        words = list(itertools.takewhile(lambda word: word[0] not in _ENDS if word else True, reader))
    except ValueError:
        raise UsageError("a quotation mark is missing in this curl call", "copy it whole, to its last line") from None
    return words[1:]


def _unescaped(text: str) -> str:
    r"""What stands between `$'` and `'`, with `\n`, `\'` and `\u2026` as the shell reads them."""
    return re.sub(
        r"\\(u[0-9a-fA-F]{1,4}|x[0-9a-fA-F]{1,2}|.)",
        lambda found: _character(found[1]),
        text,
        flags=re.DOTALL,
    )


def _character(escape: str) -> str:
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return codecs.decode(f"\\{escape}", "unicode_escape") if escape in "abfnrtv" else escape


def _json(bodies: list[str]) -> dict[str, Any]:
    if not bodies:
        raise UsageError("the curl call sends nothing", "copy it with its --data")
    if bodies[0].startswith("@"):
        raise UsageError(
            f"the curl call reads what it sends from a file, {bodies[0][1:80]}",
            "put the file's text there instead: -d '{…}'",
        )
    try:
        body = json.loads("&".join(bodies))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise UsageError("what this curl call sends is no JSON object", 'it looks like: {"model": "…", "prompt": "…"}')
    return body
