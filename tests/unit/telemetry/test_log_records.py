"""Logs: what a record holds, who adds to it, where it goes, and what cannot break it."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import msgspec
import pytest

from omnitide.telemetry import logs
from omnitide.telemetry.rendering import JsonFormatter


@pytest.fixture(autouse=True)
def logging_put_back() -> Iterator[None]:
    """`configure` changes the process; each test leaves it as it was."""
    root, ours = logging.getLogger(), logging.getLogger(logs.ROOT)
    handlers, levels, hooks = list(root.handlers), (root.level, ours.level), (sys.excepthook, threading.excepthook)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_record_is_one_line_with_time_level_logger_event_and_fields(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logs.get("omnitide.nexus.engine").info("batch committed", revision=41, took_ms=3.5, nodes=["a", "b"])
    (line,) = lines(stream)
    time = str(line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "omnitide.nexus.engine",
        "event": "batch committed",
        "revision": 41,
        "took_ms": 3.5,
        "nodes": ["a", "b"],
    }
    assert time.endswith("Z")
    assert len(time) == len("2026-01-01T00:00:00.000Z")


def test_a_field_never_replaces_what_the_record_says_of_itself(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logs.get("omnitide.x").info("real", level="fake", time=1, logger="fake", exception="none")
    (line,) = lines(stream)
    assert (line["level"], line["logger"], line["event"]) == ("info", "omnitide.x", "real")
    assert (line["level_"], line["time_"], line["logger_"], line["exception_"]) == ("fake", 1, "fake", "none")


def test_a_line_break_in_a_value_forges_no_second_record(stream: io.StringIO) -> None:
    forged = 'x\n{"level": "info"}\r\x1b[2J\u2028'
    for form in ("json", "console"):
        logs.configure("info", "json" if form == "json" else "console", stream)
        logs.get("omnitide.x").info(forged, **{forged: forged})
    assert len(stream.getvalue().split("\n")) == 3
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_console_records_read_as_columns(stream: io.StringIO) -> None:
    logs.configure("info", "console", stream)
    logs.get("omnitide.nexus.engine").info("instance started", instance="hello-1.1", pid=7, reason="it was asked for")
    text = stream.getvalue()
    assert text[2] == text[5] == ":"
    assert text[12:] == (
        ' info     nexus.engine       instance started  instance=hello-1.1 pid=7 reason="it was asked for"\n'
    )


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    logs.configure("info", "console", terminal)
    logs.get("omnitide.x").info("seen")
    assert "\x1b[32m" in terminal.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    logs.configure("info", "console", plain)
    logs.get("omnitide.x").info("seen")
    assert "\x1b" not in plain.getvalue()


def test_context_is_added_by_block_by_task_and_by_logger_and_the_nearest_wins(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    log = logs.get("omnitide.x").bind(part="session", node="from the logger")
    with logs.bound(correlation="c-1", node="alpha"):
        log.info("one")
        with logs.bound(instance="hello-1.1"):
            log.info("two", correlation="its own")
    log.info("three")
    one, two, three = lines(stream)
    assert (one["correlation"], one["part"], one["node"]) == ("c-1", "session", "from the logger")
    assert (two["correlation"], two["instance"]) == ("its own", "hello-1.1")
    assert "correlation" not in three


async def test_each_task_keeps_its_own_correlation(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    log = logs.get("omnitide.x")
    both_bound = asyncio.Barrier(2)

    async def request(correlation: str) -> None:
        logs.bind(correlation=correlation)
        await both_bound.wait()
        await asyncio.create_task(started_by_it(correlation))

    async def started_by_it(expected: str) -> None:
        log.info("deep inside", expected=expected)

    await asyncio.gather(request("c-1"), request("c-2"))
    seen = lines(stream)
    assert {line["expected"] for line in seen} == {"c-1", "c-2"}
    assert all(line["correlation"] == line["expected"] for line in seen)
    assert "correlation" not in logs.context()


def test_an_exception_brings_its_traceback_masked_and_in_the_same_record(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    try:
        raise ValueError("refused omt_abcdef0123456789")
    except ValueError:
        logs.get("omnitide.x").exception("join failed", node="alpha")
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert "ValueError: refused omt_***" in str(line["exception"])
    assert "abcdef" not in stream.getvalue()


def test_a_secret_is_masked_in_either_form_from_either_way_in(stream: io.StringIO) -> None:
    secret = "oma_Zz9Yy8Xx7Ww6"
    for form in ("json", "console"):
        logs.configure("info", "json" if form == "json" else "console", stream)
        logs.get("omnitide.x").info(f"used {secret}", token=secret, deep={"a": [secret]})
        logging.getLogger("omnitide.old").warning("used %s", secret, extra={"password": secret, "other": secret})
        with logs.bound(credential=secret):
            logs.get("omnitide.x").info("bound")
    assert "Zz9Yy8" not in stream.getvalue()
    assert stream.getvalue().count("***") == 14


def test_libraries_speak_through_the_same_way_out_from_warning_up(stream: io.StringIO) -> None:
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.addHandler(logging.StreamHandler(io.StringIO()))
    uvicorn.propagate = False
    logs.configure("debug", "json", stream)
    uvicorn.warning("port %d is busy", 7400, extra={"port": 7400})
    logging.getLogger("grpc").error("call failed")
    logging.getLogger("asyncio").info("not said")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    first, second, third = lines(stream)
    assert (first["event"], first["port"], first["logger"]) == ("port 7400 is busy", 7400, "uvicorn.error")
    assert second["event"] == "call failed"
    assert "old way" in str(third["event"])


def test_a_percent_sign_in_an_event_means_itself(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logs.get("omnitide.x").info("100 % of it, %s")
    assert lines(stream)[0]["event"] == "100 % of it, %s"


def test_a_format_string_of_a_library_that_does_not_fit_is_still_written() -> None:
    misfit = logging.makeLogRecord({"msg": "%d of %s", "args": ("x",), "name": "library"})
    assert json.loads(JsonFormatter().format(misfit))["event"] == "%d of %s"


def test_the_level_changes_at_run_time(stream: io.StringIO) -> None:
    logs.configure("warning", "json", stream)
    log = logs.get("omnitide.x")
    log.info("hidden")
    logs.set_level("debug")
    log.debug("seen")
    logs.set_level("error")
    log.warning("hidden")
    logging.getLogger("library").warning("hidden")
    assert [line["event"] for line in lines(stream)] == ["seen"]


def test_configuring_again_replaces_and_never_doubles(stream: io.StringIO) -> None:
    logs.configure("info", "json", io.StringIO())
    logs.configure("info", "json", stream)
    logs.get("omnitide.x").info("once")
    assert len(lines(stream)) == 1


def test_a_logger_from_outside_the_package_is_one_of_ours(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logs.get("__main__").info("started")
    assert lines(stream)[0]["logger"] == "omnitide.__main__"


def test_a_full_disk_costs_records_and_nothing_else() -> None:
    before = logs.lost()
    with open("/dev/full", "w", buffering=1) as full:
        logs.configure("info", "json", full)
        logs.get("omnitide.x").info("lost")
        logs.get("omnitide.x").info("lost too")
        assert logs.lost() == before + 2
        logging.getLogger().handlers.clear()
        with pytest.raises(OSError, match="No space"):
            full.close()


def test_an_uncaught_exception_is_a_record_in_main_and_in_threads() -> None:
    program = (
        "import threading\n"
        "from omnitide.telemetry import logs\n"
        "logs.configure('info', 'json')\n"
        "def fail(): raise RuntimeError('omt_abcdefabcdefabcdef')\n"
        "thread = threading.Thread(target=fail, name='worker'); thread.start(); thread.join()\n"
        "fail()\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    in_thread, in_main = [msgspec.json.decode(line) for line in ran.stderr.splitlines()]
    assert ran.returncode == 1
    assert (in_thread["level"], in_thread["thread"]) == ("critical", "worker")
    assert in_main["event"] == "uncaught exception"
    assert "RuntimeError: omt_***" in in_main["exception"]


def test_loading_the_logs_loads_nothing_heavy() -> None:
    program = (
        "import sys; import omnitide.telemetry.logs; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'rich', 'structlog', 'asyncio', 'pydantic', 'grpc', 'numpy', 'typer', 'httpx'}))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"
