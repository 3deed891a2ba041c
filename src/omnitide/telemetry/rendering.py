"""How a log record looks: one JSON object, or columns for a person. Both see only masked and bounded values."""

import logging
import time
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from omnitide.telemetry.masking import Json, clean_fields, clean_tail, clean_text
from omnitide.telemetry.tracing.context import place_of

FIELDS: Final = "omnitide_fields"
"""Attribute of a LogRecord that holds its fields."""

_OWN_NAMES: Final = frozenset({"time", "level", "logger", "event", "exception"})
_MAX_TRACEBACK: Final = 16_384
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", FIELDS}
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_encode = msgspec.json.Encoder().encode


def _event(record: logging.LogRecord) -> str:
    try:
        return clean_text(record.getMessage())
    except Exception:  # a library's format string that does not fit its arguments
        return clean_text(str(record.msg))


def _fields(record: logging.LogRecord) -> dict[str, Json]:
    """Ours, and what other users of `logging` gave as `extra`. A name that the record itself uses gets a `_`."""
    given = dict(cast("Mapping[str, object]", record.__dict__.get(FIELDS, {})))
    given.update((name, value) for name, value in record.__dict__.items() if name not in _STANDARD)
    return {f"{name}_" if name in _OWN_NAMES else name: value for name, value in clean_fields(given).items()}


def parts_of(record: logging.LogRecord) -> tuple[str, dict[str, Json]]:
    """Event and fields of a record, fit to be sent elsewhere; a traceback is one of the fields."""
    fields = _fields(record)
    traceback = _traceback(record, logging.Formatter())
    return _event(record), {**fields, "exception": traceback} if traceback else fields


def _traceback(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    """The exception's own lines, the end of it kept: that is where the cause stands."""
    text = ""
    if record.exc_info and record.exc_info[0] is not None:
        text = formatter.formatException(record.exc_info)
    if record.stack_info:
        text = f"{text}\n{record.stack_info}".strip()
    return clean_tail(text, _MAX_TRACEBACK)


def _stamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.created % 1 * 1000):03d}Z"


class JsonFormatter(logging.Formatter):
    """`{"time": ..., "level": ..., "logger": ..., "event": ..., fields..., "exception": ...}`, UTC, one line.

    One of a call that is traced has `trace_id` and `span_id` besides.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Json] = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
            **_fields(record),
        }
        place = place_of(str(line.get("correlation", "")))
        if place is not None:
            line.setdefault("trace_id", place.trace_id)
            line.setdefault("span_id", place.span_id)
        traceback = _traceback(record, self)
        if traceback:
            line["exception"] = traceback
        return _encode(line).decode()


class ConsoleFormatter(logging.Formatter):
    """`12:01:02.345 info   nexus.engine  batch committed  revision=41 took_ms=3`, UTC; tracebacks below, indented."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname.lower():<8}"
        event = _printable(_event(record))
        if self._colour:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
            event = f"\x1b[1m{event}\x1b[0m"
        name = _printable(record.name.removeprefix("omnitide."))
        fields = " ".join(f"{_printable(key)}={_shown(value)}" for key, value in _fields(record).items())
        line = f"{_stamp(record)[11:23]} {level} {name:<18} {event}{'  ' if fields else ''}{fields}"
        traceback = _traceback(record, self)
        if not traceback:
            return line
        return "\n".join([line, *(f"    {_printable(part)}" for part in traceback.splitlines())])


def _shown(value: Json) -> str:
    """Plain where that reads well and cannot be mistaken; JSON otherwise."""
    if isinstance(value, str) and value and value.isprintable() and not any(mark in value for mark in " \"'=,"):
        return value
    return _printable(_encode(value).decode())


def _printable(text: str) -> str:
    """One line without control characters: what a log shows must not move the cursor or forge a line."""
    return text if text.isprintable() else "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)
