"""What this Nexus is: the fabric's keyring, made at the first start, and its own certificate, renewed in time."""

import asyncio
import datetime as dt
import hashlib
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from omnitide.nexus.clock import Clock
from omnitide.nexus.log_time import LogTime
from omnitide.security import keyring as keyrings
from omnitide.security.certificates import from_ms, load_certificates, renew_due
from omnitide.security.fabric_key import key_source
from omnitide.security.keyring import Keyring, KeyringMissing
from omnitide.security.pki import Credentials, is_host_name, issue_nexus
from omnitide.security.private_files import ensure_private_directory
from omnitide.security.tls import TlsMaterial, server_material, server_ssl_context, use_credentials
from omnitide.telemetry import logs

_log = logs.get(__name__)

RENEWAL_CHECK_S: Final = 60.0


def now_of(clock: Clock) -> dt.datetime:
    return from_ms(clock.now_ms())


def signing_time(time: LogTime) -> dt.datetime:
    """When a certificate that is made now begins: not tomorrow, however the wall clock jumps meanwhile."""
    return from_ms(min(time.now_ms(), time.wall.now_ms()))


def open_keyring(directory: Path, clock: Clock, environment: Mapping[str, str] = os.environ) -> Keyring:
    """The fabric's keyring in `directory`; a new fabric's, if there is none. Raises SecurityError."""
    ensure_private_directory(directory)
    path = directory / "keyring.json"
    source = key_source(environment, directory / "fabric.key")
    try:
        return keyrings.load(path, source)
    except KeyringMissing:
        keyring = keyrings.create(path, source, now=now_of(clock))
        _log.info("fabric created", fabric=keyring.fabric_id)
        return keyring


class NexusIdentity:
    """The certificate that Nexus shows on all its ports. Not kept on disk: each start gets a fresh one from the CA."""

    def __init__(self, keyring: Keyring, names: tuple[str, ...], clock: Clock) -> None:
        host = socket.gethostname()
        # The id names this replica in its certificate; the host's name alone may not fit the grammar.
        self._id = "nexus-" + hashlib.sha256(host.encode()).hexdigest()[:8]
        self._names = tuple(dict.fromkeys((*names, *((host,) if is_host_name(host) else ()))))
        self._keyring = keyring
        self._clock = clock
        self._credentials = self._issue()
        self._context = server_ssl_context(self._credentials)

    def _issue(self) -> Credentials:
        return issue_nexus(self._keyring.authority, self._id, self._names, now_of(self._clock))

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """For HTTPS; connections after a renewal get the new certificate."""
        return self._context

    @property
    def material(self) -> TlsMaterial:
        """For gRPC, as of now."""
        return server_material(self._credentials, self._keyring.authority.trust_bundle())

    async def keep_fresh(self) -> None:
        """Renew at half-life, and what is not valid yet, for as long as this runs."""
        while True:
            await asyncio.sleep(RENEWAL_CHECK_S)
            leaf = load_certificates(self._credentials.issued.chain_pem)[0]
            now = now_of(self._clock)
            # One that begins in the future was made while the clock was ahead: nobody takes it now that it is not.
            if renew_due(leaf, now) or now < leaf.not_valid_before_utc:
                self._credentials = self._issue()
                use_credentials(self._context, self._credentials)
                _log.info("certificate renewed", not_after=self._credentials.issued.not_after.isoformat())
