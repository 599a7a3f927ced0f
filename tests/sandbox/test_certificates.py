"""A sandbox that speaks https: one good way and four bad ones, seen by a client that checks."""

import ssl
import sys
import warnings
from pathlib import Path

import aiohttp
import pytest

from batchgen.errors import UsageError
from batchgen.sandbox.certificates import TLS_KINDS, make_identity
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.server import start_sandbox


async def models(kind: str, authority: Path, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    """The status of a request to a sandbox of this kind, by a client that trusts its authority; and the scheme of links."""
    async with await start_sandbox(SandboxOptions(latency=0, scale=0.05, tls=kind, tls_ca=authority)) as sandbox:
        trusting = context or ssl.create_default_context(cafile=authority)
        url = f"{sandbox.base_url}/models"
        async with aiohttp.ClientSession() as session, session.get(url, ssl=trusting) as response:
            return response.status, sandbox.root_url.partition(":")[0]


async def test_a_good_certificate_is_taken_by_those_who_trust_the_authority(tmp_path: Path) -> None:
    assert await models("good", tmp_path / "ca.pem") == (200, "https")
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await models("good", tmp_path / "ca.pem", ssl.create_default_context())


@pytest.mark.parametrize(
    ("kind", "words"),
    [("self-signed", "self-signed"), ("expired", "expired"), ("wrong-host", "mismatch|doesn't match|not valid for")],
)
async def test_a_bad_certificate_is_refused_for_its_own_reason(kind: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(aiohttp.ClientConnectorCertificateError, match=words):
        await models(kind, tmp_path / "ca.pem")


async def test_an_old_server_speaks_to_old_clients_alone(tmp_path: Path) -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        await models("old", tmp_path / "ca.pem")
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lax.check_hostname = False
    lax.verify_mode = ssl.CERT_NONE
    lax.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        lax.minimum_version = ssl.TLSVersion.TLSv1_1
    assert (await models("old", tmp_path / "ca.pem", lax))[0] == 200


def test_a_kind_of_tls_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UsageError) as refused:
        make_identity("better", "127.0.0.1")
    assert all(kind in (refused.value.hint or "") for kind in TLS_KINDS)


def test_without_the_package_that_makes_certificates_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(UsageError, match="trustme") as refused:
        make_identity("good", "127.0.0.1")
    assert "batchgen[tls]" in (refused.value.hint or "")


async def test_a_place_where_no_certificate_can_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        await models("good", tmp_path / "nowhere" / "ca.pem")
