"""A receiver of OTLP on loopback, over HTTP or gRPC: what comes is read by OpenTelemetry's own messages and kept.

What a real collector does behind this edge is not tried: only that what is sent is what the protocol wants.
"""

import gzip
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

_REQUESTS: dict[str, Any] = {
    "/v1/traces": (trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse),
    "/v1/metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse),
    "/v1/logs": (logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2.ExportLogsServiceResponse),
}


@dataclass
class GotSpan:
    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, Any]


@dataclass
class Receiver:
    url: str
    traces: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, path: str, message: Any) -> None:
        with self.lock:
            {"/v1/traces": self.traces, "/v1/metrics": self.metrics, "/v1/logs": self.logs}[path].append(message)

    def spans(self) -> list[GotSpan]:
        with self.lock:
            return list(_spans(self.traces))

    def metric_names(self, service: str) -> dict[str, Any]:
        """The newest of each name."""
        with self.lock:
            return {
                metric.name: metric
                for request in self.metrics
                for resource in request.resource_metrics
                if _attributes(resource.resource.attributes)["service.name"] == service
                for scope in resource.scope_metrics
                for metric in scope.metrics
            }

    def records(self, service: str) -> list[Any]:
        with self.lock:
            return [
                record
                for request in self.logs
                for resource in request.resource_logs
                if _attributes(resource.resource.attributes)["service.name"] == service
                for scope in resource.scope_logs
                for record in scope.log_records
            ]


def _spans(requests: list[Any]) -> Iterator[GotSpan]:
    for request in requests:
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                for one in scope.spans:
                    yield GotSpan(
                        one.name,
                        service,
                        one.trace_id.hex(),
                        one.span_id.hex(),
                        one.parent_span_id.hex(),
                        one.start_time_unix_nano,
                        one.end_time_unix_nano,
                        one.status.code == 2,
                        _attributes(one.attributes),
                    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def http_receiver() -> Generator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request, response = _REQUESTS[self.path]
            receiver.take(self.path, request.FromString(body))
            answer = response().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_receiver() -> Generator[Receiver]:
    server = grpc.server(ThreadPoolExecutor(4))
    receiver = Receiver(f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")

    def exporting(path: str) -> Any:
        class Service:
            def Export(self, request: Any, _: Any) -> Any:
                receiver.take(path, request)
                return _REQUESTS[path][1]()

        return Service()

    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(exporting("/v1/traces"), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(exporting("/v1/metrics"), server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(exporting("/v1/logs"), server)
    server.start()
    try:
        yield receiver
    finally:
        server.stop(0).wait()
