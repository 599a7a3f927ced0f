"""The one TLS context that paid calls and downloads share: what a server has to prove before anything is sent to it.

TLS 1.2 at least, a certificate that a trusted authority signed, for the very host. There is no way to have less: no
option, no argument, and no policy of the machine. It refuses to choose authorities: OpenSSL finds them, by the variable
SSL_CERT_FILE too.
"""

import ssl

_CIPHERS = "DEFAULT:!aNULL:!eNULL:!aDSS:!SHA1"
"""Without those that spare the server its certificate or the line its encryption, and those that are out of date."""


def client_context() -> ssl.SSLContext:
    """A fresh context; reading the machine's authorities takes some 50 ms, so make it off the event loop."""
    # Not `create_default_context`: it also writes the session's keys to a file when SSLKEYLOGFILE asks for it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # OPENSSL_CONF and the system's policy may have lowered both; PROTOCOL_TLS_CLIENT alone checks chain and host name.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    context.set_alpn_protocols(("http/1.1",))
    return context
