"""Faults on order: which request is answered wrongly. `kinds` names them, `misbehaviour` and `bad_pictures` give them.

A fault hits by rate (seeded, so that a run repeats), by the number of the request, by words of the prompt, or by a marker in
the prompt such as [[fault:500]] or [[fault:504@1]] (only the first request with this model, prompt and seed).
It refuses to bill: `server` does that, exactly where a picture has been made.
"""

import hashlib
import re
from dataclasses import dataclass

from batchgen.errors import UsageError
from batchgen.sandbox.answers import RefusalError
from batchgen.sandbox.kinds import ALIASES, KINDS

__all__ = ["KINDS", "Fault", "FaultBook", "parse_faults"]

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
            message = f"the rate of {self.kind} must be between 0 and 1, not {self.rate:g}"
            raise UsageError(message, "write a rate such as 0.05")

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
    name = ALIASES.get(name, name)
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
