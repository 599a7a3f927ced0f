"""Certificates for a sandbox that speaks https: a right one, and those that no client may accept.

All are made when the server starts, by an authority of its own that nobody trusts unless told to. It refuses to be
imported without need: it uses `trustme`, which only the extra `tls` installs.
"""

import datetime
import ssl
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from batchgen.errors import UsageError

TLS_KINDS: Mapping[str, str] = {
    "good": "a right certificate, for clients that trust the authority",
    "self-signed": "a certificate that vouches for itself",
    "expired": "a certificate that was good until yesterday",
    "wrong-host": "a certificate for another host",
    "old": "a right certificate, and nothing newer than TLS 1.1",
}
"""Every kind of https that a sandbox can speak."""

_HERE = ("127.0.0.1", "::1", "localhost")
_ELSEWHERE = "elsewhere.example"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server shows its clients, and the certificate of the authority (PEM) by which they could trust it."""

    context: ssl.SSLContext
    authority: bytes


def make_identity(kind: str, host: str) -> Identity:
    """The identity of a server on `host`, of one of `TLS_KINDS`.

    Raises UsageError for another kind, and when `trustme` is not installed.
    """
    if kind not in TLS_KINDS:
        raise UsageError(f"there is no kind of TLS called {kind}", f"the kinds are: {', '.join(TLS_KINDS)}")
    try:
        import trustme
    except ImportError:
        raise UsageError(
            "a sandbox with TLS needs the package trustme, which is not installed",
            "install it with: pip install 'batchgen[tls]'",
        ) from None
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if kind == "self-signed":
        alone = trustme.CA()
        with trustme.Blob(alone.private_key_pem.bytes() + alone.cert_pem.bytes()).tempfile() as path:
            context.load_cert_chain(path)
    else:
        names = (_ELSEWHERE,) if kind == "wrong-host" else tuple(dict.fromkeys((host, *_HERE)))
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        authority.issue_cert(*names, not_after=yesterday if kind == "expired" else None).configure_cert(context)
    if kind == "old":
        _speak_old(context)
    return Identity(context, authority.cert_pem.bytes())


def _speak_old(context: ssl.SSLContext) -> None:
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
