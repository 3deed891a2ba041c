"""Keeps the node's certificate fresh: renewed at half of its life, proved by a session, and only then put in use."""

import asyncio
import datetime as dt
import random
from collections.abc import Callable
from typing import Final, Protocol

from omnitide.node.clock import Clock
from omnitide.security.errors import SecurityError
from omnitide.security.identity import IdentityStore, NodeIdentity
from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

CHECK_SECONDS: Final = (1800.0, 3600.0)
"""Between looks at the certificate; jittered, so that nodes that joined together do not renew together."""
RETRY_SECONDS: Final = (30.0, 60.0)

log = logs.get(__name__)


class Renewer(Protocol):
    async def renew(self, endpoint: str, csr_pem: bytes) -> pb.RenewResponse:
        """Raises LinkClosed."""
        ...


class Identities:
    """Which identity to show: the stored one, or a renewed one that is still to be proved.

    A renewed identity is tried first. If a dial with it fails, the next one shows the old identity, and so on in turn,
    as it may be Nexus that is away; a session with the old one, after a failure of the new one, proves that it was
    the certificate, and the new one is dropped.
    """

    def __init__(self, store: IdentityStore) -> None:
        """Raises what `IdentityStore.load` raises."""
        self._store = store
        self._current = store.load()
        try:
            self._staged = store.staged()
        except SecurityError as error:
            log.warning("a renewed identity cannot be read and is dropped", error=str(error))
            store.discard_renewal()
            self._staged = None
        self._show_staged = self._staged is not None
        self._staged_failed = False

    @property
    def shown(self) -> NodeIdentity:
        """For the next dial."""
        if self._show_staged and self._staged is not None:
            return self._staged
        return self._current

    def stage(self, staged: NodeIdentity) -> None:
        self._staged, self._show_staged, self._staged_failed = staged, True, False

    def welcomed(self) -> None:
        """A session stands with the identity shown."""
        if self._staged is None:
            return
        if self._show_staged:
            self._store.promote()
            self._current, self._staged = self._staged, None
            log.info("the certificate was renewed")
        elif self._staged_failed:
            self._store.discard_renewal()
            self._staged = None
            log.warning("the renewed certificate did not serve and was dropped")

    def failed(self) -> None:
        """A dial with the identity shown came to nothing."""
        if self._staged is not None:
            self._staged_failed = self._staged_failed or self._show_staged
            self._show_staged = not self._show_staged


class Renewal:
    """Renews when it is time; `run` goes on until it is cancelled."""

    def __init__(
        self,
        *,
        store: IdentityStore,
        identities: Identities,
        renewer: Renewer,
        endpoint: Callable[[], str | None],
        renewed: Callable[[], None],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`endpoint`: the Nexus with which a session stands, if one does. `renewed`: begin a new session."""
        self._store = store
        self._identities = identities
        self._renewer = renewer
        self._endpoint = endpoint
        self._renewed = renewed
        self._clock = clock
        self._rng = rng

    async def run(self) -> None:
        while True:
            well = True
            if self._identities.shown.renew_due(self._now()):
                well = await self._try()
            await asyncio.sleep(self._rng.uniform(*(CHECK_SECONDS if well else RETRY_SECONDS)))

    async def _try(self) -> bool:
        endpoint = self._endpoint()
        if endpoint is None:
            return False
        try:
            # The store's calls wait for the disk, three times in the half of a certificate's life.
            csr = self._store.begin_renewal()
            answer = await self._renewer.renew(endpoint, csr)
            staged = self._store.stage_renewal(
                answer.certificate_pem.decode(),
                answer.trust_bundle_pem.decode(),
                self._identities.shown.endpoints,
                self._now(),
            )
        except (LinkClosed, SecurityError, OSError, UnicodeDecodeError) as error:
            log.warning("the certificate could not be renewed", error=str(error))
            return False
        self._identities.stage(staged)
        self._renewed()
        return True

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock.now_ms() / 1000, dt.UTC)
