"""What Nexus supplies a node with on request, and how that is said in this package's own words."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, NamedTuple, Protocol

from omnitide.security.clear_text import ClearText
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

MAX_PAGES: Final = 128
"""Of values: a spec names no more than 128 secrets and configs, and each answer gives one at least."""


class SupplyAway(Exception):
    """Nexus cannot be reached now."""


class SupplyRefused(Exception):
    """Nexus was reached and does not give it. `absent`: there is no such thing."""

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


class Value(NamedTuple):
    version: int
    text: ClearText


class Values(NamedTuple):
    """Present values by name."""

    secrets: Mapping[str, Value]
    configs: Mapping[str, Value]


class Supply(Protocol):
    """Every method raises SupplyAway, SupplyRefused."""

    async def values(self, instance: str) -> Values: ...

    def blob(self, instance: str, digest: str, offset: int) -> AsyncIterator[bytes]:
        """A blob from a byte on."""
        ...


class Fetcher(Protocol):
    """Who carries the calls (`grpc_link`). Raises LinkClosed; what Nexus refuses begins with the name of its status."""

    async def fetch_values(self, endpoint: str, instance: str, after: str) -> pb.FetchValuesResponse: ...

    def fetch_blob(self, endpoint: str, instance: str, digest: str, offset: int) -> AsyncIterator[pb.BlobPiece]: ...


class NexusSupply:
    """A Supply over the node's own mTLS channel, from the Nexus that it is connected to."""

    def __init__(self, fetcher: Fetcher, endpoint: Callable[[], str]) -> None:
        self._fetcher = fetcher
        self._endpoint = endpoint

    async def values(self, instance: str) -> Values:
        secrets: dict[str, Value] = {}
        configs: dict[str, Value] = {}
        after = ""
        for _ in range(MAX_PAGES):
            try:
                answer = await self._fetcher.fetch_values(self._endpoint(), instance, after)
            except (LinkClosed, LookupError) as error:
                raise _told(error) from None
            secrets |= {one.name: Value(one.version, ClearText(one.data)) for one in answer.secrets}
            configs |= {one.name: Value(one.version, ClearText(one.data)) for one in answer.configs}
            after = answer.next
            if not after:
                return Values(secrets, configs)
        raise SupplyRefused(f"it has not given all of them in {MAX_PAGES} answers")

    async def blob(self, instance: str, digest: str, offset: int) -> AsyncIterator[bytes]:
        try:
            async for piece in self._fetcher.fetch_blob(self._endpoint(), instance, digest, offset):
                if piece.data:
                    yield piece.data
        except (LinkClosed, LookupError) as error:
            raise _told(error) from None


def _told(error: LinkClosed | LookupError) -> Exception:
    reason = error.reason if isinstance(error, LinkClosed) else str(error)
    status, _, message = reason.partition(": ")
    if status == "not_found":
        return SupplyRefused(message, absent=True)
    if status in ("permission_denied", "data_loss", "invalid_argument", "unimplemented"):
        return SupplyRefused(message or status)
    return SupplyAway(reason)
