"""Keeps the node's certificate fresh: renewed at half of its life, proved by a session, and only then put in use."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final, Protocol

from omnitide.node.clock import Clock
from omnitide.node.identities import Identities, IdentityUnusable
from omnitide.node.identity_view import IdentityView, Renewed
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


class Vault(Protocol):
    """See `identities.IdentityVault`. All raise IdentityUnusable."""

    async def signing_request(self) -> bytes: ...
    async def stage(self, renewed: Renewed) -> IdentityView: ...
    async def promote(self) -> None: ...
    async def discard(self) -> None: ...


class Renewal:
    """Renews when it is time; `run` goes on until it is cancelled."""

    def __init__(
        self,
        *,
        vault: Vault,
        identities: Identities,
        renewer: Renewer,
        endpoint: Callable[[], str | None],
        renewed: Callable[[], None],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`endpoint`: the Nexus with which a session stands, if one does. `renewed`: begin a new session."""
        self._vault = vault
        self._identities = identities
        self._renewer = renewer
        self._endpoint = endpoint
        self._renewed = renewed
        self._clock = clock
        self._rng = rng

    async def run(self) -> None:
        while True:
            # One that did not serve is not asked for again at once: Nexus would be asked at every session.
            dropped = self._identities.decision == "discard"
            well = await self._settle()
            due = self._identities.shown.renew_at_ms <= self._clock.now_ms() and not self._identities.staged
            if well and due and not dropped:
                well = await self._renew()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rng.uniform(*(CHECK_SECONDS if well else RETRY_SECONDS))):
                    await self._identities.decided.wait()

    async def _settle(self) -> bool:
        """Tell the store what a session has shown about a renewed identity."""
        self._identities.decided.clear()
        try:
            if self._identities.decision == "promote":
                await self._vault.promote()
            elif self._identities.decision == "discard":
                await self._vault.discard()
        except IdentityUnusable as error:
            log.warning("the renewed identity could not be settled on disk", error=str(error))
            return False
        self._identities.decision = ""
        return True

    async def _renew(self) -> bool:
        endpoint = self._endpoint()
        if endpoint is None:
            return False
        try:
            csr_pem = await self._vault.signing_request()
            answer = await self._renewer.renew(endpoint, csr_pem)
            renewed = Renewed(
                certificate_pem=answer.certificate_pem.decode(),
                bundle_pem=answer.trust_bundle_pem.decode(),
                endpoints=self._identities.shown.endpoints,
            )
            staged = await self._vault.stage(renewed)
        except (LinkClosed, IdentityUnusable, UnicodeDecodeError) as error:
            log.warning("the certificate could not be renewed", error=str(error))
            return False
        self._identities.stage(staged)
        self._renewed()
        return True
