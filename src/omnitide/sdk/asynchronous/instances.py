"""Instances and what they write."""

from collections.abc import AsyncIterator

import omnitide.sdk.calls as calls
from omnitide.model import explanations as ex
from omnitide.model import happenings as hp
from omnitide.model import objects as ob
from omnitide.model import services as sv
from omnitide.sdk.asynchronous.connection import AsyncConnection
from omnitide.sdk.defaults import ANSWER_S, CONNECT_S, DEFAULT, FINISH_S, PAGE
from omnitide.sdk.errors import from_answer
from omnitide.sdk.exchange import Exchange, Retries
from omnitide.sdk.http import httpx
from omnitide.sdk.log_lines import chunk_of, output_line_of


class InstanceCalls(AsyncConnection):
    """Instances: which there are, why they are so, what they write."""

    async def list_instances(
        self,
        *,
        namespace: str = "",
        agent: str = "",
        job: str = "",
        node: str = "",
        name: str = "",
        status: str = "",
        ended: bool = False,
        cursor: str = "",
        limit: int = PAGE,
    ) -> ob.InstanceList:
        """`ended`: also those that came to an end as they should."""
        filters = {"namespace": namespace, "agent": agent, "job": job, "node": node, "name": name, "status": status}
        return await self._do(calls.list_instances(cursor, limit, {**filters, "all": ended}))

    def instances(
        self,
        *,
        namespace: str = "",
        agent: str = "",
        job: str = "",
        node: str = "",
        name: str = "",
        status: str = "",
        ended: bool = False,
    ) -> AsyncIterator[ob.Instance]:
        filters = {"namespace": namespace, "agent": agent, "job": job, "node": node, "name": name, "status": status}
        return self._all(lambda cursor: self._do(calls.list_instances(cursor, PAGE, {**filters, "all": ended})))

    async def get_instance(self, identifier: str) -> ob.Instance:
        """By id."""
        return await self._do(calls.get_instance(identifier))

    async def restart_instance(self, identifier: str, *, dry_run: bool = False) -> ob.InstanceChanged:
        return await self._do(calls.restart_instance(identifier, dry_run))

    async def migrate_instance(
        self, identifier: str, node: str = "", *, leave_volumes: bool = False, dry_run: bool = False
    ) -> ob.InstanceMigrated:
        """Start its next generation on another node, and stop it once that is available. `node` empty: on any other
        that can take it."""
        return await self._do(calls.migrate_instance(identifier, node, leave_volumes, dry_run))

    async def explain_instance(self, identifier: str, *, nodes: int = 0) -> ex.InstanceExplanation:
        return await self._do(calls.explain_instance(identifier, nodes))

    async def read_logs(
        self, identifier: str, *, follow: bool = False, tail: int | None = None, since_ms: int = 0, after: str = ""
    ) -> AsyncIterator[hp.LogChunk]:
        """What an instance writes, from the first line, the last `tail` lines or the last `since_ms` milliseconds on.

        `follow`: until the instance ends; the first chunk then has no text. Breaks with Unreachable if the connection
        does: the same call with the last chunk's position as `after`, and without the others, goes on exactly there.
        """
        call = calls.read_logs(identifier, follow, tail, since_ms, after)
        headers = {"accept": "application/x-ndjson"}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=None if follow else ANSWER_S)
        exchange = Exchange(call, self._memory, Retries(attempts=1), self.target.url, self._rng)
        try:
            async with self._http.stream(
                "GET", call.path, params=call.query, headers=headers, timeout=timeout
            ) as answer:
                if answer.status_code != 200:
                    raise from_answer(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    if line:
                        yield chunk_of(line)
        except httpx.TransportError as error:
            exchange.broke(str(error) or type(error).__name__)

    async def search_logs(
        self,
        *of: str,
        since: str = "",
        until: str = "",
        grep: str = "",
        regex: bool = False,
        ignore_case: bool = False,
        stream: str = "",
        last: int = 0,
        limit: int = 0,
        follow: bool = False,
    ) -> AsyncIterator[hp.OutputLine]:
        """What many instances write, as lines in order of time: of `agent:web`, `job:once`, `instance:web-1.2`,
        `node:alpha`. A line of the stream `note` says where some are missing.

        `since`, `until`: how long ago, such as 10m, or a time with its zone. `last`: only the newest so many of all.
        Breaks with Unreachable if the connection does: ask again from `model.seen_lines.OVERLAP_MS` before the last
        line, and leave out what its `Seen` has seen.
        """
        call = calls.search_logs(
            {
                "of": of,
                "since": since,
                "until": until,
                "grep": grep,
                "regex": regex,
                "ignore_case": ignore_case,
                "stream": stream,
                "last": last,
                "limit": limit,
                "follow": follow,
            }
        )
        headers = {"accept": "application/x-ndjson"}
        # A search that finds nothing is silent until it has read everything.
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=None if follow else FINISH_S)
        exchange = Exchange(call, self._memory, Retries(attempts=1), self.target.url, self._rng)
        try:
            async with self._http.stream(
                "GET", call.path, params=call.query, headers=headers, timeout=timeout
            ) as answer:
                if answer.status_code != 200:
                    raise from_answer(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    if line:
                        yield output_line_of(line)
        except httpx.TransportError as error:
            exchange.broke(str(error) or type(error).__name__)

    async def list_services(self, *, namespace: str = DEFAULT, cursor: str = "", limit: int = PAGE) -> sv.ServiceList:
        """Agents that have ports, with where each replica can be reached and whether it is ready."""
        return await self._do(calls.list_services(namespace, cursor, limit))

    def services(self, *, namespace: str = DEFAULT) -> AsyncIterator[sv.Service]:
        return self._all(lambda cursor: self.list_services(namespace=namespace, cursor=cursor))

    async def get_service(self, agent: str, *, namespace: str = DEFAULT) -> sv.Service:
        return await self._do(calls.get_service(namespace, agent))

    async def copy_from(self, identifier: str, path: str) -> AsyncIterator[bytes]:
        """A file or directory of an instance as a tar stream, under its own name; a relative path is below the
        instance's directory. Breaks with Unreachable if the stream does: what came is then not whole.

        The stream is made by the instance, which may have put anything into it: take no path or link in it on trust.
        """
        call = calls.files("GET", identifier, path)
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        exchange = Exchange(call, self._memory, Retries(attempts=1), self.target.url, self._rng)
        try:
            async with self._http.stream(call.method, call.path, params=call.query, timeout=timeout) as answer:
                if answer.status_code != 200:
                    raise from_answer(answer.status_code, await answer.aread())
                async for piece in answer.aiter_raw():
                    yield piece
        except httpx.TransportError as error:
            exchange.broke(str(error) or type(error).__name__)

    async def copy_to(self, identifier: str, path: str, data: AsyncIterator[bytes]) -> None:
        """Unpack a tar stream below a directory of an instance, with the rights of its user."""
        call = calls.files("PUT", identifier, path)
        timeout = httpx.Timeout(FINISH_S, connect=CONNECT_S)
        exchange = Exchange(call, self._memory, Retries(attempts=1), self.target.url, self._rng)
        try:
            answer = await self._http.request(
                call.method,
                call.path,
                params=call.query,
                headers={"content-type": "application/x-tar"},
                content=data,
                timeout=timeout,
            )
        except httpx.TransportError as error:
            exchange.broke(str(error) or type(error).__name__)
        else:
            if answer.status_code != 204:
                raise from_answer(answer.status_code, answer.content)
