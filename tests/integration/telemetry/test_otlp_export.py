"""What is sent by OTLP, over both of its ways, as OpenTelemetry's own messages read it; and that nothing is sent, or
loaded, where nobody said where to."""

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

import pytest

from omnitide.telemetry import logs
from omnitide.telemetry.series.exposition import Sample
from omnitide.telemetry.tracing import otlp, spans
from omnitide.telemetry.tracing.context import Place, correlation_of
from omnitide.telemetry.tracing.spans import Span
from support.fabric_processes import until
from support.otlp_receiver import Receiver, grpc_receiver, http_receiver

PLACE = Place("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
FAST = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_BLRP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "100"}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    for key, value in FAST.items():
        monkeypatch.setenv(key, value)
    ours = logging.getLogger(logs.ROOT)
    level = ours.level
    ours.setLevel(logging.INFO)
    yield
    ours.setLevel(level)


@pytest.fixture
def ended() -> Generator[list[otlp.Export]]:
    made: list[otlp.Export] = []
    yield made
    for export in made:
        export.close()
    assert not spans.on()


@pytest.mark.parametrize(("protocol", "receiving"), [("http/protobuf", http_receiver), ("grpc", grpc_receiver)])
async def test_spans_records_and_metrics_are_sent(
    protocol: otlp.Protocol, receiving: Callable[[], AbstractContextManager[Receiver]], ended: list[otlp.Export]
) -> None:
    with receiving() as receiver:
        export = otlp.begin(receiver.url, protocol, "omnitide-test", {"service.version": "1"}, FAST)
        assert export is not None
        ended.append(export)
        assert spans.on()
        spans.emit(Span("outer", PLACE, "", 1_000, 5_000, {"a": 1, "b": "x"}, kind="server"))
        inner = Place(PLACE.trace_id, "00000000000000ab")
        spans.emit(Span("inner", inner, PLACE.span_id, 2_000, 1_000, {}, error="it broke"))
        log = logs.get("omnitide.test")
        with logs.bound(correlation=correlation_of(PLACE, "mine")):
            log.info("something happened", number=3, correlation=correlation_of(PLACE, "mine"), token="oma_secret")
        samples = [
            Sample("x_seconds_total", (("node", "a"),), "counter", "seconds", "Time.", 2.5, 17),
            Sample("x_bytes", (), "gauge", "bytes", "Room.", 7.0),
        ]
        sending = asyncio.ensure_future(export.send_metrics(lambda: samples))
        await asyncio.to_thread(until, lambda: len(receiver.spans()) == 2, "both spans")
        await asyncio.to_thread(until, lambda: receiver.metric_names("omnitide-test"), "metrics")
        await asyncio.to_thread(until, lambda: receiver.records("omnitide-test"), "the record")
        sending.cancel()
    outer, broken = sorted(receiver.spans(), key=lambda one: one.name, reverse=True)
    assert (outer.trace_id, outer.span_id, outer.parent_id) == (*PLACE, "")
    assert outer.attributes == {"a": 1, "b": "x"}
    assert (broken.parent_id, broken.failed) == (PLACE.span_id, True)
    assert broken.end_ns >= broken.start_ns, "no span ends before it began"
    (record,) = receiver.records("omnitide-test")
    assert record.body.string_value == "something happened"
    assert (record.trace_id.hex(), record.span_id.hex()) == PLACE
    told = {pair.key: pair.value for pair in record.attributes}
    assert told["number"].int_value == 3
    assert told["token"].string_value == "***", "masked as in the log itself"
    found = receiver.metric_names("omnitide-test")
    counter = found["x_seconds_total"]
    assert (counter.unit, counter.description, counter.sum.is_monotonic) == ("s", "Time.", True)
    (point,) = counter.sum.data_points
    assert (point.as_double, point.time_unix_nano) == (2.5, 17_000_000_000)
    assert found["x_bytes"].gauge.data_points[0].as_double == 7.0


def test_what_is_left_is_sent_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    with http_receiver() as receiver:
        export = otlp.begin(receiver.url, "", "omnitide-test", {}, {})
        assert export is not None
        spans.emit(Span("last", PLACE, "", 1, 2, {}))
        export.close()
        assert [one.name for one in receiver.spans()] == ["last"]
    assert not spans.on()


def test_each_signal_can_be_left_out_and_all_by_the_standard_variables() -> None:
    with http_receiver() as receiver:
        assert otlp.begin(receiver.url, "", "t", {}, {"OTEL_SDK_DISABLED": "true"}) is None
        left = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "LOGS")}
        export = otlp.begin(receiver.url, "", "t", {}, left)
        assert export is not None
        assert not spans.on()
        export.close()
    assert otlp.begin("", "", "t", {}, {}) is None


def test_a_collector_that_is_away_costs_a_second_at_the_end_and_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        export = otlp.begin(url, "", "t", {}, {"OTEL_LOGS_EXPORTER": "none"})
        assert export is not None
        for _ in range(5_000):
            spans.emit(Span("lost", PLACE, "", 1, 2, {}))
        until(lambda: "does not get to its collector" in caplog.text, "that is told")
        began = time.monotonic()
        export.close()
        assert time.monotonic() - began < 10 * otlp.CLOSE_S, "it is waited for, and not for long"
    said = [record for record in caplog.records if record.name.startswith("omnitide")]
    assert len(said) == 1, "once, not at each try"
    assert not logging.getLogger("opentelemetry").propagate, "what the SDK says of each try is in no log"


def test_a_collector_that_takes_and_never_answers_keeps_no_process_from_ending() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        asked = 0

        def collect() -> list[Sample]:
            nonlocal asked
            asked += 1
            return [Sample("x", (), "gauge", "", "What.", 1.0)]

        async def run() -> None:
            export = otlp.begin(url, "", "t", {}, {**FAST, "OTEL_LOGS_EXPORTER": "none"})
            assert export is not None
            spans.emit(Span("lost", PLACE, "", 1, 2, {}))
            sending = asyncio.ensure_future(export.send_metrics(collect))
            async with asyncio.timeout(30):
                while not asked:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(silent.accept)
            sending.cancel()
            export.close()

        began = time.monotonic()
        asyncio.run(run())
        assert time.monotonic() - began < 5, "its ten seconds to answer are not waited for"


def test_where_nobody_said_where_to_nothing_of_it_is_loaded() -> None:
    program = (
        "import sys, omnitide.api.process, omnitide.node.assembly\n"
        "from omnitide.telemetry.tracing import otlp\n"
        "assert otlp.begin('', '', 't', {}, {}) is None\n"
        "found = [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
