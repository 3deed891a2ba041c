"""The way out by OTLP: spans, log records and metrics of this process, by OpenTelemetry's own SDK and exporters.

Loaded where an endpoint is set and nowhere else; the extra `otel` brings what it needs. Headers, certificates, time
limits, compression, batches and resource attributes are what the standard `OTEL_...` variables say. All queues have a
bound (2,048 by default) at which what is oldest is dropped, and a thread of their own sends what is in them: a
collector that is slow, or away, costs this process nothing else.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final, Literal, NamedTuple, get_args

from omnitide.telemetry import logs
from omnitide.telemetry.rendering import parts_of
from omnitide.telemetry.series.definition import Labels
from omnitide.telemetry.series.exposition import Sample
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.context import Place, place_of
from omnitide.telemetry.tracing.sending import Signal, Told, beside, hush
from omnitide.telemetry.tracing.spans import Kind, Span

Protocol = Literal["", "http/protobuf", "grpc"]

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
DISABLED: Final = "OTEL_SDK_DISABLED"
INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"
INTERVAL_MS: Final = 60_000
LEAST_INTERVAL_MS: Final = 100
CLOSE_S: Final = 1.0
"""In which what is left is sent at the end; what is not is lost."""
_OWN_LOGGERS: Final = ("opentelemetry", "urllib3", "requests", "grpc")
"""What sending says is not sent in turn."""
_EXPORTERS: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}
_UNITS: Final = {"seconds": "s", "bytes": "By", "celsius": "Cel", "watts": "W", "ratio": "1"}
"""Of UCUM, as OpenTelemetry has them."""

_log = logs.get(__name__)


class Unavailable(Exception):
    """It cannot be sent, and why."""


class Target(NamedTuple):
    endpoint: str
    protocol: Protocol
    environ: Mapping[str, str]

    def wants(self, signal: Signal) -> bool:
        return self.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower() != "none"

    def address(self, signal: Signal) -> str | None:
        """None: as the variables say."""
        if not self.endpoint:
            return None
        return self.endpoint if self._grpc else f"{self.endpoint.rstrip('/')}/v1/{signal}"

    @property
    def _grpc(self) -> bool:
        return (self.protocol or self.environ.get(PROTOCOL, "")).strip() == "grpc"

    def exporter(self, signal: Signal) -> Any:
        """Raises Unavailable. `Any`, here and below: the SDK is no part of what is always installed."""
        way = "grpc" if self._grpc else "http"
        module, name = _EXPORTERS[signal]
        try:
            made = getattr(import_module(f"opentelemetry.exporter.otlp.proto.{way}.{module}"), name)
            return Told(made(endpoint=self.address(signal)), signal)
        except ImportError as error:
            raise Unavailable(f"{error}; the extra otel brings it: pip install 'omnitide[otel]'") from error
        except ValueError as error:
            raise Unavailable(str(error)) from error


def target_of(endpoint: str, protocol: Protocol, environ: Mapping[str, str]) -> Target | None:
    """None: nothing is to be sent, since nobody said where to."""
    if environ.get(DISABLED, "").strip().lower() == "true":
        return None
    named = endpoint or environ.get(ENDPOINT, "").strip()
    single = any(environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") for signal in ("TRACES", "METRICS", "LOGS"))
    return Target(endpoint, protocol, environ) if named or single else None


class Export:
    """What this process sends, until `close`. Made by `begin`."""

    def __init__(self, target: Target, service: str, attributes: Mapping[str, str]) -> None:
        """Raises Unavailable."""
        try:
            resources: Any = import_module("opentelemetry.sdk.resources")
            scope: Any = import_module("opentelemetry.sdk.util.instrumentation")
        except ImportError as error:
            raise Unavailable(f"{error}; the extra otel brings it: pip install 'omnitide[otel]'") from error
        named = {"service.name": target.environ.get("OTEL_SERVICE_NAME", "") or service}
        self._resource: Any = resources.Resource.create({**attributes, **named})
        self._scope: Any = scope.InstrumentationScope("omnitide", attributes.get("service.version", ""))
        self._environ = target.environ
        hush()
        self._closing: list[Callable[[], object]] = []
        self._handler: logging.Handler | None = None
        self._metrics: Any = target.exporter("metrics") if target.wants("metrics") else None
        if target.wants("traces"):
            self._send_spans(target.exporter("traces"))
        if target.wants("logs"):
            self._send_logs(target.exporter("logs"))

    def _send_spans(self, exporter: Any) -> None:
        export: Any = import_module("opentelemetry.sdk.trace.export")
        processor = export.BatchSpanProcessor(exporter)
        made = _SpanMaker(self._resource, self._scope)
        spans.send_to(lambda span: processor.on_end(made(span)))
        self._closing += [lambda: spans.send_to(None), processor.shutdown]

    def _send_logs(self, exporter: Any) -> None:
        export: Any = import_module("opentelemetry.sdk._logs.export")
        processor = export.BatchLogRecordProcessor(exporter)
        self._handler = _Handler(processor, self._resource, self._scope)
        logging.getLogger().addHandler(self._handler)
        self._closing.append(processor.shutdown)

    async def send_metrics(self, collect: Callable[[], Iterable[Sample]]) -> None:
        """Each minute (OTEL_METRIC_EXPORT_INTERVAL, ms), until it is cancelled."""
        exporter = self._metrics
        if exporter is None:
            await asyncio.Event().wait()
            return
        started_ns = time.time_ns()
        while True:
            await asyncio.sleep(_interval_ms(self._environ) / 1000)
            try:
                await beside(partial(self._export, exporter, list(collect()), started_ns))
            except Exception as error:
                _log.warning("metrics could not be sent", reason=f"{type(error).__name__}: {error}")

    def _export(self, exporter: Any, samples: list[Sample], started_ns: int) -> None:
        exporter.export(metrics_of(samples, self._resource, self._scope, started_ns))

    def close(self) -> None:
        """Send what is left, for a second at most."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        ends = list(self._closing)
        self._closing.clear()
        threads = [threading.Thread(target=end, daemon=True) for end in ends]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + CLOSE_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def begin(
    endpoint: str,
    protocol: Protocol,
    service: str,
    attributes: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
) -> Export | None:
    """Start sending where somebody has said where to. What keeps it from being sent is logged, and keeps nothing else
    from going on."""
    target = target_of(endpoint, protocol, environ)
    if target is None:
        return None
    try:
        return Export(target, service, attributes)
    except Unavailable as error:
        _log.error("telemetry is not sent", endpoint=endpoint or environ.get(ENDPOINT, ""), reason=str(error))
        return None


def _interval_ms(environ: Mapping[str, str]) -> int:
    text = environ.get(INTERVAL, "")
    return max(LEAST_INTERVAL_MS, int(text)) if text.isdecimal() else INTERVAL_MS


class _SpanMaker:
    """Spans as the SDK has them."""

    def __init__(self, resource: Any, scope: Any) -> None:
        self._resource = resource
        self._scope = scope
        self._sdk: Any = import_module("opentelemetry.sdk.trace")
        self._api: Any = import_module("opentelemetry.trace")
        self._kinds: dict[str, Any] = {kind: self._api.SpanKind[kind.upper()] for kind in get_args(Kind)}

    def __call__(self, span: Span) -> Any:
        api = self._api
        status = api.Status(api.StatusCode.ERROR, span.error) if span.error else api.Status(api.StatusCode.UNSET)
        parent = _context(api, Place(span.place.trace_id, span.parent_id)) if span.parent_id else None
        return self._sdk.ReadableSpan(
            name=span.name,
            context=_context(api, span.place),
            parent=parent,
            resource=self._resource,
            attributes=dict(span.attributes),
            kind=self._kinds[span.kind],
            status=status,
            start_time=span.start_ns,
            end_time=max(span.start_ns, span.end_ns),
            instrumentation_scope=self._scope,
        )


def _context(api: Any, place: Place) -> Any:
    flags = api.TraceFlags(api.TraceFlags.SAMPLED)
    return api.SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=False, trace_flags=flags)


class _Handler(logging.Handler):
    """Records as they are written to the log, masked and bounded as those, with the trace that they are of."""

    def __init__(self, processor: Any, resource: Any, scope: Any) -> None:
        super().__init__()
        self._processor = processor
        self._resource = resource
        self._scope = scope
        self._logs: Any = import_module("opentelemetry._logs")
        self._sdk: Any = import_module("opentelemetry.sdk._logs")
        self._api: Any = import_module("opentelemetry.trace")

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_OWN_LOGGERS):
            return
        try:
            self._processor.on_emit(self._made(record))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own signature)
        """It is in the log of this process all the same."""

    def _made(self, record: logging.LogRecord) -> Any:
        event, fields = parts_of(record)
        if "exception" in fields:
            fields["exception.stacktrace"] = fields.pop("exception")
        place = place_of(str(fields.get("correlation", "")))
        context = None
        if place is not None:
            api = self._api
            context = api.set_span_in_context(api.NonRecordingSpan(_context(api, place)))
        made = self._logs.LogRecord(
            timestamp=int(record.created * 1e9),
            observed_timestamp=time.time_ns(),
            context=context,
            severity_text=record.levelname,
            severity_number=self._logs.SeverityNumber[_SEVERITIES.get(record.levelname, "INFO")],
            body=event,
            attributes={"logger": record.name, **fields},
        )
        return self._sdk.ReadWriteLogRecord(made, resource=self._resource, instrumentation_scope=self._scope)


_SEVERITIES: Final = {"DEBUG": "DEBUG", "INFO": "INFO", "WARNING": "WARN", "ERROR": "ERROR", "CRITICAL": "FATAL"}


def metrics_of(samples: Iterable[Sample], resource: Any, scope: Any, started_ns: int) -> Any:
    """Series as the SDK has them, under the names that they have everywhere."""
    export: Any = import_module("opentelemetry.sdk.metrics.export")
    now_ns = time.time_ns()
    named: dict[str, tuple[Sample, list[tuple[Labels, float, int]]]] = {}
    for sample in samples:
        at_ns = sample.at_s * 1_000_000_000 if sample.at_s is not None else now_ns
        named.setdefault(sample.name, (sample, []))[1].append((sample.labels, sample.value, at_ns))
    made: list[Any] = []
    for name, (first, found) in named.items():
        points = [export.NumberDataPoint(dict(labels), started_ns, at_ns, value) for labels, value, at_ns in found]
        data = (
            export.Sum(points, export.AggregationTemporality.CUMULATIVE, True)
            if first.kind != "gauge"
            else export.Gauge(points)
        )
        made.append(export.Metric(name, first.help, _UNITS.get(first.unit, first.unit), data))
    scoped = export.ScopeMetrics(scope, made, "")
    return export.MetricsData([export.ResourceMetrics(resource, [scoped], "")])
