"""One connection to a container engine: requests with typed answers, and streams. The only part that sees aiodocker's
errors; they leave as `DriverError`.

aiodocker gives what is tedious: addresses (unix, tcp with TLS, ssh), the version to speak, pooled connections. Its own
methods answer with untyped dictionaries and read archives whole into memory, so requests are made here.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from typing import Final, TypeVar

import aiodocker
import aiohttp
import msgspec

from omnitide.drivers.docker.answers import Info, Version
from omnitide.drivers.docker.errors import FAILED, EngineRefused, unavailable

T = TypeVar("T")

CALL_DEADLINE: Final = 25.0
"""For an answer, seconds; streams have none."""
MAX_CONNECTIONS: Final = 1000
"""At once: followers of logs and further programs have one each. Beyond, requests wait for one to be free."""
NOT_CONNECTED: Final = 900
"""The status that aiodocker makes up for it."""
MAX_LINE: Final = 4 << 20
"""Of a stream of JSON lines."""

Body = Mapping[str, object]


class Client(aiodocker.Docker):
    """aiodocker's client, with its own way to send a request."""

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        data: bytes | AsyncIterator[bytes] | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        try:
            return await self._do_query(
                path, method, params=dict(params), data=data, headers=dict(headers), timeout=timeout
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, json.JSONDecodeError) and not error.doc:
                # Podman refuses some things without a word; which status that was, aiodocker does not say.
                raise EngineRefused(FAILED, f"{method} {path} was refused without a reason") from None
            # aiodocker takes an error's answer apart without looking whether it is one.
            raise unavailable(f"the engine's answer to {method} {path} is not understood: {error!r}") from None

    async def negotiate(self) -> Version:
        """What the engine says it is; that version of the API is spoken from then on."""
        response = await self._do_query(
            "version", "GET", timeout=aiohttp.ClientTimeout(CALL_DEADLINE), versioned_api=False
        )
        async with response:
            found = msgspec.json.decode(await response.read(), type=Version)
        self.api_version = f"v{found.api_version}"
        return found


class Engine:
    """`open`, then use, then `close`."""

    def __init__(self, address: str) -> None:
        """Raises DriverError for an address that cannot be."""
        self.address = address
        self._connector: aiohttp.BaseConnector | None = None
        try:
            if address.startswith("unix://"):
                self._connector = aiohttp.UnixConnector(address.removeprefix("unix://"), limit=MAX_CONNECTIONS)
                self.client = Client("unix://localhost", connector=self._connector)
            else:
                self.client = Client(address)
        except (ValueError, OSError) as error:
            raise unavailable(f"the engine's address {address!r}: {error}") from None
        self.version = Version(version="", api_version="")
        self.info = Info()

    async def open(self) -> None:
        """Learn what engine this is. Raises DriverError."""
        with self._translated():
            try:
                self.version = await self.client.negotiate()
            except (msgspec.MsgspecError, ValueError) as error:
                raise unavailable(f"what answers at {self.address} is no container engine: {error}") from None
        self.info = await self.call("GET", "info", Info)

    async def close(self) -> None:
        await self.client.close()
        if self._connector is not None:
            await self._connector.close()

    async def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        params: Mapping[str, str] = {},
        body: Body | None = None,
        deadline: float | None = CALL_DEADLINE,
    ) -> T:
        """Raises EngineRefused, and DriverError `driver-unavailable` if the engine does not answer."""
        raw = await self._read(method, path, params, body, deadline)
        try:
            return msgspec.json.decode(raw, type=answer)
        except msgspec.MsgspecError as error:
            raise unavailable(f"the engine's answer to {method} {path} is not understood: {error}") from None

    async def do(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] = {},
        body: Body | None = None,
        deadline: float | None = CALL_DEADLINE,
    ) -> None:
        """As `call`, for what has no answer."""
        await self._read(method, path, params, body, deadline)

    async def _read(
        self, method: str, path: str, params: Mapping[str, str], body: Body | None, deadline: float | None
    ) -> bytes:
        data = None if body is None else msgspec.json.encode(body)
        timeout = aiohttp.ClientTimeout(total=deadline)
        with self._translated():
            response = await self.client.send(method, path, params=params, data=data, headers={}, timeout=timeout)
            async with response:
                return await response.read()

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] = {},
        headers: Mapping[str, str] = {},
        data: AsyncIterator[bytes] | None = None,
        idle: float | None = None,
    ) -> AsyncGenerator[aiohttp.StreamReader]:
        """An answer that is read as it comes; the connection is closed with the block. `idle`: seconds without a byte
        after which the engine is taken to hang."""
        with self._translated():
            response = await self.client.send(
                method, path, params=params, data=data, headers=headers, timeout=aiohttp.ClientTimeout(sock_read=idle)
            )
            try:
                yield response.content
            finally:
                response.close()

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except aiodocker.DockerError as error:
            if error.status == NOT_CONNECTED:
                raise unavailable(f"the engine at {self.address} cannot be reached: {error.message}") from None
            raise EngineRefused(error.status, error.message) from None
        except TimeoutError:  # some of which are the client's errors too
            raise unavailable(f"the engine at {self.address} does not answer") from None
        except aiohttp.ClientError as error:
            raise unavailable(f"the engine at {self.address} has hung up: {error}") from None


async def lines(reader: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
    """The lines of a stream, whatever their length up to MAX_LINE. Raises DriverError beyond."""
    held = b""
    async for piece in reader.iter_any():
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(held) > MAX_LINE:
            raise unavailable(f"the engine sends a line of more than {MAX_LINE} bytes")
    if held.strip():
        yield held
