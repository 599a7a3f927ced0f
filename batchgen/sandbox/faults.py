"""Faults on order: which request is answered wrongly, and how. The answers themselves are given in `misbehaviour`.

A fault hits by rate (seeded, so that a run repeats), by the number of the request, by words of the prompt, or by a marker in
the prompt such as [[fault:500]] or [[fault:504@1]] (only the first request with this model, prompt and seed).
It refuses to bill: `server` does that, exactly where a picture has been made.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from batchgen.errors import UsageError
from batchgen.sandbox.answers import RefusalError

KINDS: Mapping[str, str] = {
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
    "500": "server error; nothing was made",
    "500-upstream": "server error of the upstream; nothing was made",
    "500-moderation": "a refused prompt that hides in a server error",
    "502-html": "the gateway's HTML page; nothing was made",
    "503": "refused: busy",
    "504": "the gateway gave up; the picture was made and billed",
    "html": "status 200 with an HTML page; nothing was made",
    "error-200": "status 200 with an error body; nothing was made",
    "refuse-disconnect": "the connection drops after the request was read; nothing was made",
    "disconnect": "the connection drops when the picture has been made and billed",
    "empty": "billed, status 200, no body",
    "truncated": "billed; the connection drops in the middle of the answer",
    "cut-json": "billed; a complete answer whose JSON ends early",
    "slow": "billed, and then no answer until the client leaves",
    "fewer": "one picture fewer than asked (never none); billed for what was made",
    "more": "one picture more than asked; billed for what was made",
    "both": "a link and base64 in each item",
    "b64-prefix": "base64 with a data URI prefix, whatever was asked",
    "b64-bare": "base64 without prefix, whatever was asked",
    "bad-b64": "billed; base64 that does not decode",
    "no-data": "billed; an empty list of pictures",
    "item-error": "the last item is an error object; billed for the others",
    "picture-404": "billed; the link is dead",
    "picture-html": "billed; the link gives an HTML page with status 200",
    "picture-truncated": "billed; the download always breaks off half-way",
    "picture-500-once": "billed; the first download fails, the next works",
    "picture-black": "billed; a black picture",
    "picture-same": "billed; the same picture whatever the prompt and seed",
    "picture-wrong-size": "billed; half the size that was asked for",
}
"""Every kind of fault, and what it does."""

_ALIASES = {
    "403": "403-quota",
    "502": "502-html",
    "timeout": "408",
    "black": "picture-black",
    "same-picture": "picture-same",
    "wrong-size": "picture-wrong-size",
}
_PART = re.compile(
    r"(?P<kind>[\w-]+)(?::(?P<rate>[\d.]+))?(?:@(?P<first>\d+)(?:-(?P<last>\d+))?)?(?:~(?P<words>.+))?", re.ASCII
)
_MARKER = re.compile(r"\[\[fault:([\w-]+)(?:@(\d+)(?:-(\d+))?)?\]\]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and the requests it hits: every condition that is set must hold. Requests count from 1."""

    kind: str
    rate: float = 1.0
    first: int = 1
    last: int | None = None
    words: str = ""

    def __post_init__(self) -> None:
        kind = _kind(self.kind)
        if kind is None:
            raise UsageError(f"there is no fault called {self.kind}", f"the faults are: {', '.join(KINDS)}")
        object.__setattr__(self, "kind", kind)
        if not 0 <= self.rate <= 1:
            raise UsageError(f"the rate of {self.kind} must be between 0 and 1, not {self.rate:g}")

    def wants(self, prompt: str, index: int, draw: float) -> bool:
        """Whether the fault hits the request number `index`; `draw` is its random number from 0 up to 1."""
        in_range = self.first <= index and (self.last is None or index <= self.last)
        return in_range and self.words in prompt and draw < self.rate


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Faults from text such as `429:0.05,timeout:0.01,html`.

    Each is KIND, KIND:RATE, KIND@REQUEST, KIND@FIRST-LAST or KIND~WORDS OF THE PROMPT, in this order when combined.
    Raises UsageError that names the wrong part and lists the kinds.
    """
    return tuple(_parse_part(part.strip()) for part in text.split(",") if part.strip())


def _parse_part(part: str) -> Fault:
    match = _PART.fullmatch(part)
    if match is None or _kind(match["kind"]) is None:
        raise UsageError(
            f"“{part}” is not a fault", f"write a kind and a rate, such as 429:0.05; the kinds are: {', '.join(KINDS)}"
        )
    try:
        rate = float(match["rate"] or 1)
    except ValueError:
        raise UsageError(f"the rate in “{part}” is not a number", "write a rate from 0 to 1, such as 0.05") from None
    first = int(match["first"] or 1)
    last = int(match["last"]) if match["last"] else (first if match["first"] else None)
    return Fault(match["kind"], rate, first, last, match["words"] or "")


def _kind(name: str) -> str | None:
    name = _ALIASES.get(name, name)
    return name if name in KINDS else None


class FaultBook:
    """The faults of one server: picks at most one per request, and remembers how often each request came."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self._faults = faults
        self._seed = seed
        self._seen: dict[bytes, int] = {}

    def choose(self, model: str, prompt: str, seed: int, index: int) -> str | None:
        """The kind of fault for the request number `index`, or None. Raises RefusalError for an unknown marker."""
        marker = _MARKER.search(prompt)
        if marker is None and not self._faults:
            return None
        request = hashlib.sha256(f"{model}\0{seed}\0{prompt}".encode("utf-8", "surrogatepass")).digest()[:12]
        repeat = self._seen[request] = self._seen.get(request, 0) + 1
        if marker is not None:
            kind = _marked(marker, repeat)
            if kind:
                return kind
        for place, fault in enumerate(self._faults):
            # Drawn from the request and not from a shared stream, so that the order of arrival changes nothing.
            token = request + f"{self._seed}/{place}/{repeat}".encode()
            draw = int.from_bytes(hashlib.sha256(token).digest()[:7], "big") / 2**56
            if fault.wants(prompt, index, draw):
                return fault.kind
        return None

    def reset(self) -> None:
        """Forget which requests came."""
        self._seen.clear()


def _marked(marker: re.Match[str], repeat: int) -> str | None:
    kind = _kind(marker[1])
    if kind is None:
        raise RefusalError("400", f"the prompt asks for a fault that does not exist: {marker[1][:50]}")
    first = int(marker[2] or 1)
    last = int(marker[3]) if marker[3] else (first if marker[2] else repeat)
    return kind if first <= repeat <= last else None
