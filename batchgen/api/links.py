"""A link's text read once: to the very value that is checked and then given to the transport.

Two readers of one text may see two hosts in it; so there is one reader. Path and query stay as they are spelled, since
a signed link is signed in its spelling. It refuses to look names up: where they lead is seen where a socket is made.
"""

import ipaddress
import re
from urllib.parse import urljoin

from yarl import URL

from batchgen.api.addresses import is_inner_literal, is_loopback_host

LINK_AT_MOST = 32 * 1024
"""Characters. Servers take some 8,000."""
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_AS_SPELLED = re.compile(r"https?://[^/?#]*(?P<rest>[/?][!-~]*)", re.IGNORECASE)
_NAME = re.compile(r"(?=.{1,254}$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_AROUND = "".join(map(chr, range(0x21)))
_NOT_READ = str.maketrans("", "", "\t\r\n")
_NOWHERE = "the link is not an address"


class LinkRefused(Exception):
    """A link that is not followed; `str()` of it says why, without anything that a link keeps secret."""


class Links:
    """Which links of one provider may be followed, and how they are read.

    Https to the open internet always; beyond that the provider's own origin, wherever it is, and for a provider on this
    machine every port of this machine, over plain http too, unless it has no `neighbours` that keep pictures for it.
    """

    def __init__(self, base_url: str, *, neighbours: bool = True) -> None:
        try:
            base = URL(base_url)
            self._root, self._home = f"{base.origin()}/", _origin(base)
        except ValueError:  # a provider at no address has no links of its own
            self._root, self._home = "", ("", "", None)
        self.local = is_loopback_host(self._home[1])
        """Whether the provider is on this machine."""
        self._neighbours = neighbours and self.local

    def follow(self, text: str, found_at: URL | None = None) -> URL:
        """The address that `text` means, in an answer of the provider or as a redirect from `found_at`.

        Raises LinkRefused for what is no address or leads to where no result link has a reason to lead.
        """
        url = _read(text, str(found_at or self._root))
        if self.is_home(url) and (url.scheme == "https" or self.local):
            return url
        if url.scheme != "https":
            raise LinkRefused(f"the link uses {url.scheme}; only https is followed")
        if is_inner_literal(url.raw_host or ""):
            raise LinkRefused(f"the link leads to {_short(url)}, which is not an address of the open internet")
        return url

    def is_home(self, url: URL) -> bool:
        """Whether an address is the provider's own, so that it needs not be one of the open internet."""
        return _origin(url) == self._home or (self._neighbours and is_loopback_host(url.raw_host or ""))


def _read(text: str, base: str) -> URL:
    """An http or https address with a host; raises LinkRefused."""
    text = text.strip(_AROUND).translate(_NOT_READ)  # as browsers do, and everything that learnt from them
    if not text:
        raise LinkRefused("the link is empty")
    if len(text) > LINK_AT_MOST:
        raise LinkRefused(f"the link has {len(text):,} characters, more than the {LINK_AT_MOST:,} allowed")
    try:
        text.encode("utf-8")
        whole = text if _ABSOLUTE.match(text) else urljoin(base, text)
        url = URL(whole)
    except ValueError:
        raise LinkRefused(_NOWHERE) from None
    if url.scheme not in {"https", "http"}:
        raise LinkRefused(f"the link uses {url.scheme[:20] or 'no scheme'}; only https is followed")
    if not _is_host(url.raw_host or ""):
        raise LinkRefused(_NOWHERE)
    if url.raw_user is not None or url.raw_password is not None:
        raise LinkRefused("the link carries a user name")
    spelled = _AS_SPELLED.fullmatch(whole.partition("#")[0])
    return URL(f"{url.origin()}{spelled['rest']}", encoded=True) if spelled else url


def _is_host(host: str) -> bool:
    if ":" not in host:
        return _NAME.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme, (url.raw_host or "").rstrip("."), url.port


def _short(url: URL) -> str:
    return (url.raw_host or "")[:100]
