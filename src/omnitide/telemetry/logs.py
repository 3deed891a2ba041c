"""Structured logs: an event in plain words and fields, one record a line, JSON for programs or columns for people.

    log = logs.get(__name__)
    with logs.bound(correlation="c-7f3a", node="alpha"):
        log.info("instance started", instance="hello-1.1", pid=4211)

Built on the standard library's `logging`, so that what uvicorn, grpc and asyncio say takes the same way, and so that a
node loads nothing for it (docs/decisions/0007). Writing is synchronous: a record is out before the next line runs, and
a reader that stops reading stops the writer; send logs to a file or a journal, not to a pipe that nobody drains.
"""

import logging
import os
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType, TracebackType
from typing import Final, Literal, TextIO, cast

from omnitide.telemetry.log_file import LogFile
from omnitide.telemetry.masking import mask_text
from omnitide.telemetry.rendering import FIELDS, ConsoleFormatter, JsonFormatter

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json"]

ROOT: Final = "omnitide"
"""The logger above all of ours; its level is the configured one, also when it is below that of the libraries."""

_LEVELS: Final[dict[Level, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_context: ContextVar[Mapping[str, object]] = ContextVar("omnitide_log_context", default=MappingProxyType({}))


class Logger:
    """Writes events under one name. `bind` gives a logger that adds fields to each; the context adds its own."""

    __slots__ = ("_bound", "_logger")

    def __init__(self, logger: logging.Logger, bound: Mapping[str, object]) -> None:
        self._logger = logger
        self._bound = bound

    def bind(self, **fields: object) -> "Logger":
        return Logger(self._logger, {**self._bound, **fields})

    def debug(self, event: str, /, **fields: object) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, /, **fields: object) -> None:
        """An error with the traceback of the exception being handled."""
        self._log(logging.ERROR, event, fields, traceback=True)

    def _log(self, level: int, event: str, fields: dict[str, object], *, traceback: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            # No arguments follow the event, so that logging never interprets a % in it.
            self._logger.log(level, event, exc_info=traceback, extra={FIELDS: {**self._bound, **fields}})


def get(name: str) -> Logger:
    """The logger of a module (`__name__`); one from outside the package, such as `__main__`, is put below it."""
    ours = name == ROOT or name.startswith(f"{ROOT}.")
    return Logger(logging.getLogger(name if ours else f"{ROOT}.{name}"), {})


def bind(**fields: object) -> None:
    """Add fields to every record of this task (or thread) and of the tasks that it starts from now on."""
    _context.set({**_context.get(), **fields})


@contextmanager
def bound(**fields: object) -> Generator[None]:
    """Like `bind`, for a `with` block."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def context() -> Mapping[str, object]:
    """The fields bound here, e.g. to carry the correlation id into a message."""
    return _context.get()


class _Handler(logging.StreamHandler[TextIO]):
    """The one way out. A stream that fails (a full disk, a closed pipe) loses the record, which is counted."""

    lost = 0

    def __init__(self, stream: TextIO, formatter: logging.Formatter, file: LogFile | None) -> None:
        super().__init__(stream)
        self.setFormatter(formatter)
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        context = _context.get()
        if context:
            own = cast("Mapping[str, object]", record.__dict__.get(FIELDS, {}))
            record.__dict__[FIELDS] = {**context, **own}
        super().emit(record)
        if self._file is not None:
            self._file.turn_if_full()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 ARG002 (logging's own signature)
        _Handler.lost += 1


def lost() -> int:
    """Records of this process that could not be written."""
    return _Handler.lost


def configure(
    level: Level = "info",
    format: Format = "console",  # noqa: A002
    stream: TextIO | None = None,
    file: LogFile | None = None,
) -> None:
    """Send the logs of this process, its libraries included, to `stream` (default: standard error). Repeatable.

    `file`: what standard error is, to be kept within its bounds.

    Uvicorn must be started with `log_config=None`. gRPC's C core writes to standard error by itself, in no format; it
    is silenced unless GRPC_VERBOSITY says otherwise, which must happen before grpc is imported.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    target = sys.stderr if stream is None else stream
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    formatter = JsonFormatter() if format == "json" else ConsoleFormatter(colour=_wants_colour(target))
    root.addHandler(_Handler(target, formatter, file))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    set_level(level)


def set_level(level: Level) -> None:
    """Change the level of our records at once. Libraries speak from `warning` up, or from `level` if that is higher."""
    logging.getLogger(ROOT).setLevel(_LEVELS[level])
    logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))


def last_words(event: str, reason: str) -> None:
    """Why this process cannot go on: a record with the `reason`, and for people a line `error: ...` besides."""
    get(ROOT).error(event, reason=reason)
    formats = [handler.formatter for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]
    if not any(isinstance(formatter, JsonFormatter) for formatter in formats):
        print(f"error: {mask_text(reason)}", file=sys.stderr, flush=True)


def _wants_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger(ROOT).critical("uncaught exception", exc_info=(kind, error, traceback))


def _uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        name = arguments.thread.name if arguments.thread else ""
        logging.getLogger(ROOT).critical(
            "uncaught exception in a thread",
            exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
            extra={FIELDS: {"thread": name}},
        )
