"""What a server has to prove, for a paid call and for a picture alike, before a single byte of a request leaves."""

import asyncio
import datetime
import re
import ssl
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from batchgen.api import tls
from batchgen.api.call import Caller
from batchgen.api.fetch import Downloader, FetchFailed
from batchgen.api.outcomes import Kind, Reach, classify
from batchgen.api.tls import client_context

from .canaries import Network

PACKAGE = Path(__file__).parent.parent.parent / "batchgen"
BODY = b"a picture"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Host:
    """A server that speaks TLS; `requests` are those that anybody sent, `port` is on 127.0.0.1."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, context: ssl.SSLContext) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if data := await reader.read(65536):
            self.requests.append(data)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(BODY), BODY))
        writer.close()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    yield made
    await made.stop()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def server_context(authority: trustme.CA, kind: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if kind == "self-signed":
        alone = trustme.CA()
        with trustme.Blob(alone.private_key_pem.bytes() + alone.cert_pem.bytes()).tempfile() as path:
            context.load_cert_chain(path)
        return context
    signer = trustme.CA() if kind == "unknown" else authority
    name = "elsewhere.example" if kind == "wrong host" else "127.0.0.1"
    start = NOW + DAY if kind == "not yet" else None
    end = NOW - DAY if kind == "expired" else NOW + 2 * DAY if start else None
    signer.issue_cert(name, not_before=start, not_after=end).configure_cert(context)
    if kind == "old":
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def picture_of(port: int) -> bytes:
    """A picture on a TLS port, as a link in an answer of a provider on this machine."""
    blocks: list[bytes] = []

    async def write(block: bytes) -> None:
        blocks.append(block)

    async with Downloader("http://127.0.0.1:9/v1") as downloader:
        await downloader.fetch(f"https://127.0.0.1:{port}/picture?signature=secret", write)
    return b"".join(blocks)


BAD = {
    "self-signed": "the certificate of 127.0.0.1:{} is signed by nobody but itself",
    "unknown": "the certificate of 127.0.0.1:{} is signed by nobody whom this machine trusts",
    "expired": "the certificate of 127.0.0.1:{} has expired",
    "not yet": "the certificate of 127.0.0.1:{} is not valid yet",
    "wrong host": "the certificate of 127.0.0.1:{} is for another host",
    "old": "TLS 1.2",
}


@pytest.mark.parametrize("kind", BAD)
async def test_nothing_is_asked_of_a_picture_host_that_cannot_be_trusted(
    kind: str, host: Host, authority: trustme.CA
) -> None:
    await host.start(server_context(authority, kind))

    with pytest.raises(FetchFailed) as failed:
        await picture_of(host.port)

    assert host.requests == []
    assert BAD[kind].format(host.port) in str(failed.value)
    assert "secret" not in str(failed.value)
    assert not failed.value.final, "a certificate is mended; the link is worth money until then"
    assert not failed.value.odd


@pytest.mark.parametrize("kind", BAD)
async def test_nothing_is_paid_to_a_provider_that_cannot_be_trusted(
    kind: str, host: Host, authority: trustme.CA
) -> None:
    await host.start(server_context(authority, kind))

    async with Caller(f"https://127.0.0.1:{host.port}/v1", "sk-123456789") as caller:
        answer = await caller.post(b"{}", idempotency_key="k", timeout_s=20)

    outcome = classify(answer.facts)
    assert host.requests == []
    assert outcome.kind is Kind.NOT_SENT
    assert (outcome.reach is Reach.PROVIDER) == (kind != "old")
    assert BAD[kind].format(host.port) in outcome.message


async def test_an_authority_given_by_a_file_is_trusted_for_calls_and_for_pictures(
    host: Host, authority: trustme.CA
) -> None:
    await host.start(server_context(authority, "good"))

    assert await picture_of(host.port) == BODY
    async with Caller(f"https://127.0.0.1:{host.port}/v1", None) as caller:
        answer = await caller.post(b"{}", idempotency_key="k", timeout_s=20)
    assert answer.body == BODY
    assert len(host.requests) == 2


async def test_without_that_file_the_same_server_is_a_stranger(
    host: Host, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    await host.start(server_context(authority, "good"))

    with pytest.raises(FetchFailed, match="whom this machine trusts"):
        await picture_of(host.port)
    assert host.requests == []


async def test_the_variables_that_spy_on_or_soften_tls_do_nothing(
    host: Host, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.start(server_context(authority, "good"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")

    await picture_of(host.port)

    assert not (tmp_path / "keys").exists()


async def test_a_host_that_cannot_be_reached_in_two_ways_is_not_blamed_for_its_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network(monkeypatch)
    network.names = {"api.example.com": [["::1", "10.0.0.5"]]}

    async with Caller("https://api.example.com:9/v1", None) as caller:
        answer = await caller.post(b"{}", idempotency_key="k", timeout_s=20)

    assert answer.facts.trouble == "cannot connect to api.example.com:9: the connection failed"


def context_by_a_lax_policy(protocol: int) -> ssl.SSLContext:
    """A new context on a machine whose policy allows everything; not every build of Python heeds one."""
    context = ssl.SSLContext(protocol)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def test_no_policy_of_the_machine_allows_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "ssl", SimpleNamespace(**{**vars(ssl), "SSLContext": context_by_a_lax_policy}))

    context = client_context()

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not [cipher["name"] for cipher in context.get_ciphers() if "Au=None" in cipher["description"]]


def test_a_configuration_of_openssl_that_allows_tls_1_0_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "openssl.cnf"
    config.write_text(
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n"
        "[c]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n"
    )
    code = (
        "from batchgen.api.tls import client_context as make\n"
        "context = make()\n"
        "print(context.minimum_version.name, context.verify_mode.name, context.check_hostname)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"OPENSSL_CONF": str(config)},
        cwd=PACKAGE.parent,
        check=False,
    )

    assert done.stdout.strip() == "TLSv1_2 CERT_REQUIRED True", done.stderr


SWITCHES = (
    r"ssl\s*=\s*False|verify_ssl|verify_mode|CERT_NONE|CERT_OPTIONAL|check_hostname|_unverified_|insecure|verify\s*="
)


def test_there_is_no_switch_that_turns_the_check_off() -> None:
    sources = [path for path in PACKAGE.rglob("*.py") if "sandbox" not in path.relative_to(PACKAGE).parts]
    found = [f"{path.name}: {match[0]}" for path in sources for match in re.finditer(SWITCHES, path.read_text())]

    assert found == []


def test_every_session_and_connector_is_one_of_those_that_the_tests_know() -> None:
    """A further one would need the same care: an own context, no environment, no cookies."""
    made = {
        path.relative_to(PACKAGE).as_posix(): len(re.findall(r"ClientSession\(|TCPConnector\(", path.read_text()))
        for path in PACKAGE.rglob("*.py")
    }

    assert {name: count for name, count in made.items() if count} == {
        "api/call.py": 2,
        "api/fetch.py": 2,
        "notify/delivery.py": 2,
    }
