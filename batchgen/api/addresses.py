"""Which network addresses the tool may talk to: the check that sits where a socket is made.

Links in answers come from outside, and a name may resolve to anything. So the address itself is judged, after every
look-up and every redirect, whatever its spelling was. It refuses to resolve names.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from yarl import URL

AddressInfo = tuple[Any, ...]

_V4_INNER = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # where a large cloud's machines find its inner service
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
_V6_OPEN = ipaddress.IPv6Network("2000::/3")
_V6_INNER = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Inside the open part: addresses for protocols (Teredo), for books, and those that hide an IPv4 address (6to4)."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """A link leads to an address that no result link has a reason to lead to."""


def is_loopback_host(host: str) -> bool:
    """Whether a URL's host names this machine: `localhost`, a name below it, or a loopback address."""
    bare = host.lower().strip("[]").rstrip(".")
    return bare == "localhost" or bare.endswith(".localhost") or is_loopback(bare)


def is_loopback(address: str) -> bool:
    """Whether an IP address is one of this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet; the table is ours, because Python's differs by version.

    Of IPv4 addresses inside IPv6 ones only those behind NAT64 may be: without them a network that has IPv6 alone could
    fetch nothing.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed not in _NAT64:
            return parsed in _V6_OPEN and parsed.scope_id is None and not any(parsed in net for net in _V6_INNER)
        parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return not any(parsed in net for net in _V4_INNER)


def is_inner_literal(host: str) -> bool:
    """Whether a URL's host is itself an address, and not one of the open internet; names are not looked up.

    An address in one of the spellings that only old resolvers read (`0x7f.1`, `2130706433`) is never one.
    """
    bare = host.strip("[]").rstrip(".")
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return is_loopback_host(bare) or _is_old_spelling(bare)
    return not is_public(bare)


def _is_old_spelling(host: str) -> bool:
    try:
        socket.inet_aton(host)
    except (OSError, ValueError):
        return False
    return True


def guarded_socket(allows: Callable[[str], bool]) -> Callable[[AddressInfo], socket.socket]:
    """A socket factory that raises AddressRefused for an address that `allows` does not, before anything is sent."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allows(str(address[0])):
            # The same words for every address: a name may have several, and different errors would melt into one.
            raise AddressRefused("not an address of the open internet")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make


def server_name(url: str) -> str:
    """Host and port of a URL for a message, and nothing else of it: a link's query is a secret."""
    try:
        parsed = URL(url)
    except ValueError:
        return "the server"
    host = (parsed.raw_host or "the server")[:100]
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parsed.explicit_port}" if parsed.explicit_port else host
