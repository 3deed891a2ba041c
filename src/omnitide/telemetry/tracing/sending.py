"""Whether what is sent by OTLP gets there: told once when it does not, and once when it does again.

The SDK says something at each try, for as long as a collector is away; that is kept for its reason alone.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any, Final, Literal

from omnitide.telemetry import logs

Signal = Literal["traces", "metrics", "logs"]

_SDK: Final = "opentelemetry"
_SUCCESS: Final = "SUCCESS"

_log = logs.get(__name__)


class _LastWords(logging.Handler):
    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        _LastWords.said = record.getMessage()[:500]


async def beside(work: Callable[[], object]) -> None:
    """Done in a thread that nobody waits for at the end of the process, as of a pool all are: a collector may take its
    time. Raises what the work raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def told(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        failure: Exception | None = None
        try:
            work()
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(told, failure)

    threading.Thread(target=run, name="otlp-metrics", daemon=True).start()
    await done


def hush() -> None:
    """What the SDK says goes no further than here. Repeatable."""
    logger = logging.getLogger(_SDK)
    logger.propagate = False
    if not any(isinstance(one, _LastWords) for one in logger.handlers):
        logger.addHandler(_LastWords(logging.WARNING))


class Told:
    """An exporter of the SDK. `Any`: the SDK is no part of what is always installed."""

    def __init__(self, exporter: Any, signal: Signal) -> None:
        self._exporter = exporter
        self._signal = signal
        self._away = False

    def export(self, batch: Any) -> Any:
        result = self._exporter.export(batch)
        away = result.name != _SUCCESS
        if away != self._away:
            self._away = away
            if away:
                _log.warning("telemetry does not get to its collector", signal=self._signal, reason=_LastWords.said)
            else:
                _log.info("telemetry gets to its collector again", signal=self._signal)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 1000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))
