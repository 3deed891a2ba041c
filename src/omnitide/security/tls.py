"""What TLS stacks are given: contexts for the standard library's ssl, PEM triples for gRPC."""

import os
import socket
import ssl
import tempfile
from typing import NamedTuple

from omnitide.security.identity import NodeIdentity
from omnitide.security.peer import TrustBundle
from omnitide.security.pki import Credentials, is_host_name


class TlsMaterial(NamedTuple):
    """Roots, private key and certificate chain in PEM, in the order of `grpc.ssl_channel_credentials(*material)`.

    A server takes `grpc.ssl_server_credentials([material.pair], material.root_certificates, require_client_auth=True)`.
    """

    root_certificates: bytes
    private_key: bytes
    certificate_chain: bytes

    @property
    def pair(self) -> tuple[bytes, bytes]:
        return self.private_key, self.certificate_chain

    def __repr__(self) -> str:
        return f"TlsMaterial({len(self.root_certificates)} B roots, {len(self.certificate_chain)} B chain)"


def server_material(credentials: Credentials, bundle: TrustBundle) -> TlsMaterial:
    """For Nexus's gRPC servers."""
    chain = credentials.issued.chain_pem.encode()
    return TlsMaterial(bundle.roots_pem, credentials.private_key_pem, chain)


def node_material(identity: NodeIdentity) -> TlsMaterial:
    """For a node's gRPC channel; override the target name with `names.NEXUS_SERVER_NAME`."""
    return TlsMaterial(identity.trust_bundle.roots_pem, identity.private_key_pem, identity.certificate_pem.encode())


def server_ssl_context(credentials: Credentials) -> ssl.SSLContext:
    """For the HTTPS port: TLS 1.2 or newer, forward-secret AEAD ciphers, HTTP/1.1 (uvicorn and WebSocket)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # TLS 1.3 has its own list, all of this kind
    context.set_alpn_protocols(["http/1.1"])
    use_credentials(context, credentials)
    return context


def use_credentials(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Give a context its certificate, also a renewed one in place of the last: connections from now on get it."""
    # The ssl module reads keys from files only; this one is private and gone when the call returns.
    descriptor, path = tempfile.mkstemp(prefix="omnitide-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(credentials.private_key_pem + credentials.issued.chain_pem.encode())
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


def first_contact_context() -> ssl.SSLContext:
    """For the first question to an unknown Nexus: encrypted, but to nobody in particular. Nothing secret may be sent
    over it; what comes back is believed only as far as the join token's fingerprint vouches for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fabric_client_context(bundle: TrustBundle) -> ssl.SSLContext:
    """For clients of Nexus: only the fabric's own root is trusted, whatever else the machine trusts.

    The host name is not compared, which is safe because of what takes its place. A public CA certifies strangers, so
    there the name alone tells the right server from another; the fabric's CA gives certificates for TLS servers to
    Nexus (and services, which `verify_peer` with the role NEXUS refuses) and to nobody else. So whoever completes the
    handshake and passes that check is Nexus, and it may be reached by any name: through NAT, a tunnel, a new address.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=bundle.roots_pem.decode())
    return context


def machine_names() -> list[str]:
    """The host name of this machine, for Nexus's certificate; nothing if it is no valid one. Asks no name server."""
    return [name for name in (socket.gethostname(),) if is_host_name(name)]
