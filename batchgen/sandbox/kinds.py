"""Every kind of fault by what it costs, in the words of the docs. It refuses to know how a fault is given.

The three tables follow a request: refused before any work, spoiled after the work was billed, spoiled on the way of the
picture itself.
"""

from collections.abc import Mapping

NOT_BILLED: Mapping[str, str] = {
    "400": "refused: Invalid param",
    "400-content": "refused: sensitive prompt",
    "400-sensitive": "refused: the sensitivity check failed",
    "400-permission": "refused: no permission to use the model",
    "400-quota": "refused: the key's quota, told with status 400",
    "401": "refused: bad key",
    "402": "refused: no balance",
    "403-quota": "refused: the key's quota",
    "403-permission": "refused: this address may not use the key",
    "404": "refused: not found",
    "408": "the server gave up; nothing was made",
    "429": "refused: rate limit, with Retry-After",
    "429-bare": "refused: rate limit, without Retry-After",
    "429-negative": "refused: rate limit, Retry-After of -5",
    "429-nan": "refused: rate limit, Retry-After of NaN",
    "429-inf": "refused: rate limit, Retry-After of inf",
    "429-words": "refused: rate limit, Retry-After of soon",
    "429-ages": "refused: rate limit, Retry-After of 1e9 seconds",
    "429-hour": "refused: rate limit, Retry-After of an hour",
    "429-past": "refused: rate limit, Retry-After is a date in the past",
    "429-skewed": "refused: rate limit, Retry-After is one second from now by a clock that is a day ahead",
    "302": "a redirect that makes clients ask with GET; nothing was made",
    "307": "a redirect that makes clients send the request again; nothing was made",
    "204": "status 204 without a body; nothing was made",
    "999": "status 999, which means nothing; nothing was made",
    "500": "server error; nothing was made",
    "500-upstream": "server error of the upstream; nothing was made",
    "500-moderation": "a refused prompt that hides in a server error",
    "502-html": "the gateway's HTML page; nothing was made",
    "503": "refused: busy",
    "html": "status 200 with an HTML page; nothing was made",
    "error-200": "status 200 with an error body; nothing was made",
    "refuse-disconnect": "the connection drops after the request was read; nothing was made",
}
"""The paid call fails and costs nothing."""

BILLED: Mapping[str, str] = {
    "504": "the gateway gave up; the picture was made and billed",
    "disconnect": "the connection drops when the picture has been made and billed",
    "slow": "billed, and then no answer until the client leaves",
    "drip": "billed; one byte of the answer each 0.2 s, for ever",
    "half-status": "billed; half a status line, and the connection closes",
    "not-http": "billed; an answer that does not begin as HTTP does",
    "two-lengths": "billed; two Content-Length headers that contradict each other",
    "long-header": "billed; a header of 20 kB",
    "many-headers": "billed; 500 headers",
    "truncated": "billed; the connection drops in the middle of the answer",
    "cut-chunks": "billed; a chunked answer, whole but for its last chunk",
    "cut-close": "billed; half an answer without a length, ended by closing the connection",
    "whole-close": "billed; a whole answer without a length, ended by closing the connection",
    "stale": "billed; right behind a whole answer, unasked, the answer to another prompt",
    "stale-late": "billed; a moment after a whole answer, unasked, the answer to another prompt",
    "idle-408": "billed; right behind a whole answer, unasked, status 408 and the end of the connection",
    "empty": "billed, status 200, no body",
    "cut-json": "billed; a complete answer whose JSON ends early",
    "null": "billed; the JSON is `null`",
    "empty-object": "billed; the JSON is `{}`",
    "wrong-types": "billed; numbers and texts where lists and links belong",
    "deep-json": "billed; 100,000 opening brackets",
    "long-number": "billed; a number of 5,000 digits",
    "nan": "billed; NaN where a number belongs",
    "double-keys": "billed; each key stands twice, first with nothing, then right",
    "bom": "billed; a whole answer behind a byte order mark",
    "bad-utf8": "billed; bytes that are not UTF-8",
    "rot13": "billed; a whole answer that calls itself rot13",
    "half-character": "billed; a link with half of a character",
    "gzip-bomb": "billed; 300 kB that unpack to 300 MB",
    "list-bomb": "billed; 30 MB that hold ten million lists",
    "endless": "billed; an answer that never ends, as fast as the client reads",
    "fewer": "one picture fewer than asked (never none); billed for what was made",
    "more": "one picture more than asked; billed for what was made",
    "both": "a link and base64 in each item",
    "b64-prefix": "base64 with a data URI prefix, whatever was asked",
    "b64-bare": "base64 without prefix, whatever was asked",
    "bad-b64": "billed; base64 that does not decode",
    "no-data": "billed; an empty list of pictures",
    "item-error": "the last item is an error object; billed for the others",
}
"""The picture is made and billed, and the answer is not what it should be."""

DOWNLOAD: Mapping[str, str] = {
    "picture-404": "billed; the link is dead",
    "picture-403-twice": "billed; the link is refused twice, then it works",
    "picture-500-once": "billed; the first download fails, the next works",
    "picture-truncated": "billed; the download always breaks off half-way",
    "picture-cut-chunks": "billed; a chunked download, whole but for its last chunk",
    "picture-cut-close": "billed; half the picture without a length, ended by closing the connection",
    "picture-whole-close": "billed; the whole picture without a length, ended by closing the connection",
    "picture-drip": "billed; one byte of the picture each 0.2 s, for ever",
    "picture-endless": "billed; a download that never ends, as fast as the client reads",
    "picture-gzip-bomb": "billed; 300 kB that unpack to 300 MB",
    "picture-pixel-bomb": "billed; a small PNG that says it has 50,000 x 50,000 pixels",
    "picture-redirect-inner": "billed; a redirect to an address of the provider's inner network",
    "picture-redirect-file": "billed; a redirect to a file of the client's machine",
    "picture-redirect-plain": "billed; a redirect to another host, without encryption",
    "picture-redirect-loop": "billed; a redirect to the same link",
    "picture-html": "billed; the link gives an HTML page with status 200",
    "picture-eps": "billed; the link gives a PostScript file",
    "picture-svg": "billed; the link gives an SVG with a script",
    "picture-tiff": "billed; the link gives a TIFF",
    "picture-gif": "billed; the link gives a GIF",
    "picture-flipped": "billed; one bit of the picture is wrong",
    "picture-trailing": "billed; a script follows the picture's last byte",
    "picture-black": "billed; a black picture",
    "picture-same": "billed; the same picture whatever the prompt and seed",
    "picture-near": "billed; nearly the same picture whatever the seed",
    "picture-wrong-size": "billed; half the size that was asked for",
}
"""The answer is right, and its link or its picture is not."""

KINDS: Mapping[str, str] = {**NOT_BILLED, **BILLED, **DOWNLOAD}
"""Every kind of fault, and what it does."""

ALIASES: Mapping[str, str] = {
    "403": "403-quota",
    "502": "502-html",
    "timeout": "408",
    "black": "picture-black",
    "same-picture": "picture-same",
    "wrong-size": "picture-wrong-size",
}
"""Short names."""
