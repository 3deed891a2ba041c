"""`GET /metrics` of the node proxy, in plaintext on loopback: what was sampled last, for a Prometheus beside it."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

import h11

from omnitide.telemetry import logs
from omnitide.telemetry.series.exposition import Sample, exposition

ADDRESS: Final = "127.0.0.1"
READ_S: Final = 5.0
MAX_HEAD: Final = 16 << 10
MAX_AT_ONCE: Final = 16

log = logs.get(__name__)


async def serve_metrics(port: int, latest: Callable[[], Iterable[Sample]]) -> None:
    """Until it is cancelled. A port that cannot be had is told, and nothing is served."""
    turns = asyncio.Semaphore(MAX_AT_ONCE)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_S), turns:
                await _answer(reader, writer, latest)
        except (OSError, TimeoutError, h11.ProtocolError):
            pass
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, ADDRESS, port, limit=MAX_HEAD)
    except OSError as error:
        log.error("metrics are not served", port=port, reason=error.strerror or str(error))
        return
    async with server:
        log.info("metrics are served", url=f"http://{ADDRESS}:{server.sockets[0].getsockname()[1]}/metrics")
        await asyncio.Event().wait()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latest: Callable[[], Iterable[Sample]]
) -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(MAX_HEAD))
    if not isinstance(event, h11.Request):
        return
    status, body, content_type = 404, b"the metrics are at /metrics\n", "text/plain; charset=utf-8"
    if event.target.partition(b"?")[0] == b"/metrics":
        accept = dict(event.headers).get(b"accept", b"").decode("latin-1")
        body, content_type = exposition(latest(), accept)
        status = 200
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Connection", "close")]
    for part in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(part) or b"")
    with contextlib.suppress(OSError):
        await writer.drain()
