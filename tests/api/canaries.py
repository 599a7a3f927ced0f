"""Nothing of this machine but what a test means, and nothing beyond it: listeners that must hear nothing, and a guard.

The guard stands where the event loop connects: an address that is not loopback is written down and never reached.
"""

import asyncio
import errno
import ipaddress
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

NUMERIC_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class Canaries:
    """Listeners on `port` and on `other`, on both loopback addresses; `heard` is every connection they got."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.port = self.other = 0
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        self.port, self.other = await self._listen(), await self._listen()

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._hear, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        self._servers += [server, await asyncio.start_server(self._hear, "::1", port)]
        return port

    async def _hear(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(writer.get_extra_info("sockname"))
        writer.close()

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()


class Network:
    """What the test's machine knows of the world: `names` leads to addresses, a look-up takes the first list first.

    `tried` holds every address that something tried to connect to.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[Sequence[str]]] = {}
        self.tried: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)
        self._connect = BaseSelectorEventLoop.sock_connect
        monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", self._guarded())

    def _look_up(self, host: Any, port: Any, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if answers := self.names.get(name.rstrip(".").lower()):
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        else:
            addresses = [_numeric(name)]
        return [_info(address, int(port or 0)) for address in addresses]

    def _guarded(self) -> Any:
        async def sock_connect(loop: BaseSelectorEventLoop, sock: socket.socket, address: Any) -> None:
            self.tried.append(address[0])
            if not ipaddress.ip_address(address[0]).is_loopback:
                raise OSError(errno.ENETUNREACH, "no way there")
            await self._connect(loop, sock, address)

        return sock_connect


def _numeric(name: str) -> str:
    """An address in any spelling that the machine's own resolver reads; names are known to nobody."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(name))
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        raise socket.gaierror(socket.EAI_NONAME, "nobody knows this name") from None


def _info(address: str, port: int) -> Any:
    family = NUMERIC_FAMILIES[ipaddress.ip_address(address).version]
    sockaddr = (address, port) if family is socket.AF_INET else (address, port, 0, 0)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", sockaddr
