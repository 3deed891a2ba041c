"""httpx without its command line, and the TLS of a fabric's clients."""

import ssl
import sys

if "httpx" not in sys.modules:
    # Importing httpx also imports its command line with click, rich and pygments, if those are installed: three
    # quarters of the time. It does without where that cannot be imported; None makes it so, for this import alone.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    import httpx

    del sys.modules["httpx._main"]
else:
    import httpx

__all__ = ["client_context", "httpx"]


def client_context(ca_pem: str) -> ssl.SSLContext:
    """A context that trusts the fabric's own root and nothing else. Raises ssl.SSLError for what is no certificate.

    The host name is not compared: the fabric's CA certifies only its own, and TLS servers among them only Nexus and
    services of the fabric, so whoever completes the handshake belongs to it by whatever name it was reached: through
    NAT, a tunnel, a new address. (A public CA certifies strangers; there the name alone tells the right one.)
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=ca_pem)
    return context
