"""A client's connection: one call from its first attempt to its answer, and lists page by page."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol, Self, TypeVar

from omnitide.sdk.defaults import ANSWER_S, CONNECT_S
from omnitide.sdk.exchange import Call, Exchange, Memory, Retries, Wait, tls_hint
from omnitide.sdk.http import httpx
from omnitide.sdk.target import Target, find_target

T = TypeVar("T")
Item = TypeVar("Item")
Shown_co = TypeVar("Shown_co", covariant=True)


class Page(Protocol[Shown_co]):
    """A page of a list."""

    @property
    def items(self) -> tuple[Shown_co, ...]: ...
    @property
    def next_cursor(self) -> str: ...


class AsyncConnection:
    """HTTP to one Nexus, with what a client remembers from call to call. The groups of calls stand on it."""

    def __init__(
        self,
        target: Target,
        *,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        timeout_s: float = ANSWER_S,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`waiting`: entered while an answer is waited for that is to come at once, which may tell whoever waits."""
        self.target = target
        self._retries = retries
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._waiting = waiting
        self._memory = Memory()
        self._context: ssl.SSLContext | None = target.context()
        self._timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        self._http = httpx.AsyncClient(
            base_url=target.url,
            verify=self._context if self._context is not None else True,
            headers={"authorization": f"Bearer {target.token}"} if target.token else {},
            timeout=self._timeout,
            transport=transport,
            trust_env=not target.local,
        )

    @classmethod
    def find(cls, url: str = "", *, token: str = "", token_file: str = "", ca_file: str = "") -> Self:
        """A client of what is given, else of the environment (OMNITIDE_CLIENT_URL, ...), else of the local fabric."""
        return cls(find_target(url=url, token=token, token_file=token_file, ca_file=ca_file))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def written(self) -> int:
        """The newest revision that this client made."""
        return self._memory.written

    @property
    def seen(self) -> int:
        """The newest revision that any answer named."""
        return self._memory.seen

    @property
    def shown(self) -> int:
        """The revision that the last answer named. Read at once after an object was: the same read with a
        `min_revision` one above waits for news of it. (`seen` may be of a later answer, about something else.)"""
        return self._memory.shown

    def _bound(self, call: Call[T]) -> httpx.Timeout:
        within_s = call.within_s
        return self._timeout if within_s is None else httpx.Timeout(within_s, connect=CONNECT_S)

    async def _do(self, call: Call[T]) -> T:
        exchange = Exchange(call, self._memory, self._retries, self.target.url, self._rng)
        while True:
            try:
                with nullcontext() if call.for_news else self._waiting():
                    answer = await self._http.request(
                        call.method,
                        call.path,
                        params=exchange.query(),
                        headers=exchange.headers(),
                        content=call.body,
                        timeout=self._bound(call),
                    )
            except httpx.ReadTimeout as error:
                if call.within_s is not None:
                    raise exchange.late() from error
                outcome = exchange.broke(str(error) or type(error).__name__)
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
                hint = tls_hint(reason)
                outcome = exchange.broke(reason, hint=hint, final=bool(hint))
            else:
                outcome = exchange.answered(answer.status_code, answer.headers, answer.content)
            if not isinstance(outcome, Wait):
                return outcome
            await self._sleep(outcome.seconds)

    async def _all(self, read: Callable[[str], Awaitable[Page[Item]]]) -> AsyncIterator[Item]:
        """The items of every page; `read` gives the page of a cursor."""
        cursor = ""
        while True:
            page = await read(cursor)
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if not cursor:
                return
