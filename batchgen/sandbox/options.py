"""What can be dialled on a sandbox. Values only: nothing here opens a socket or draws."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from batchgen.sandbox.faults import Fault

WEEK_S = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How a sandbox behaves; the defaults are a healthy, quick service for everyone on this machine.

    Durations are seconds. `bill_file` gets one JSON line per billed request, flushed before the answer leaves.
    """

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any free port."""
    key: str | None = None
    """The only key accepted; None accepts any key, and none."""
    latency: float = 1.0
    """Multiplies play times of about half a second to a second and a half a picture; 0 answers at once."""
    scale: float = 1.0
    """Pictures are drawn at this multiple of the asked size."""
    link_lifetime_s: float = WEEK_S
    requests_per_minute: float | None = None
    burst: int = 5
    """How many requests may come at once under `requests_per_minute`."""
    concurrency: int | None = None
    """Requests above this many at work are refused with 429."""
    retry_after: bool = True
    """Whether a 429 says how long to wait."""
    profile: Literal["page-2025-06", "docs-2026-05"] = "page-2025-06"
    """Which of the provider's pages is spoken."""
    unsupported: Literal["reject", "ignore"] = "reject"
    """What happens to a field that the page does not give to the model."""
    picture_format: Literal["png", "jpeg", "by-model"] = "by-model"
    response: Literal["url", "b64_json", "both"] = "url"
    """What an answer holds when the request does not ask for base64."""
    absolute_links: bool = True
    """False gives links from the server's root, such as /image/…"""
    faults: tuple[Fault, ...] = ()
    bill_file: Path | None = None
    tls: str | None = None
    """One of `certificates.TLS_KINDS`, for a server that speaks https; None for plain http."""
    tls_ca: Path | None = None
    """Where the certificate of the authority is written by which a client can trust a server with `tls`."""
    seed: int = 0
    """Decides which requests the faults with a rate hit, and the play times."""
