"""Which network addresses the tool may talk to: the check that sits where a socket is made.

Links in answers come from outside, and a name may resolve to anything. So the address itself is judged, after every
look-up and every redirect, whatever its spelling was. It refuses to resolve names.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

AddressInfo = tuple[Any, ...]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(OSError):
    """A link leads to an address that no result link has a reason to lead to."""


def is_loopback_host(host: str) -> bool:
    """Whether a URL's host names this machine: `localhost` or a loopback address."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also when an IPv4 address hides inside an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        hidden = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo and parsed.teredo[1])
        if parsed in _NAT64:
            hidden = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if hidden:
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def is_inner_literal(host: str) -> bool:
    """Whether a URL's host is itself an address, and not one of the open internet; names are not looked up."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return is_loopback_host(host)
    return not is_public(host.strip("[]"))


def guarded_socket(*, allow_loopback: bool) -> Callable[[AddressInfo], socket.socket]:
    """A socket factory for downloads that raises AddressRefused before anything is sent to an inner address.

    `allow_loopback` is for a provider that itself is on this machine; nothing else that is private becomes reachable.
    """

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        host = str(address[0])
        if not is_public(host) and not (allow_loopback and is_loopback_host(host)):
            raise AddressRefused(f"the link leads to {host}, which is not an address of the open internet")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make


def origin(url: str) -> str:
    """Scheme, host and port of a URL: what a key belongs to."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
