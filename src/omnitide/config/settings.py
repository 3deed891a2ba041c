"""The settings model. A field's annotation says what it means, how people may write it, and whether it changes live."""

import ipaddress
import os
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from omnitide.config.errors import FieldError
from omnitide.config.folders import default_root
from omnitide.model.names import LABEL_KEY_PATTERN, LABEL_VALUE_PATTERN, LabelKey, LabelValue, Name
from omnitide.model.quantity import MAX_QUANTITY


def _about(description: str, *, unit: str = "", live: bool = False, secret: bool = False) -> Meta:
    """Description of a field. `unit` says how text is read: duration, bytes, cpu, ports, path or nothing special."""
    return Meta(
        description=description,
        extra={"unit": unit, "live": live, "secret": secret},
        extra_json_schema={"x-reloadable": live},
    )


def _milliseconds(description: str, *, live: bool = False) -> Meta:
    return _about(f"{description} Milliseconds, or text such as 1500ms or 3s.", unit="duration", live=live)


def _bytes(description: str, *, live: bool = False) -> Meta:
    return _about(f"{description} Bytes, or text such as 64MiB.", unit="bytes", live=live)


_AnyPort = Annotated[int, Meta(ge=0, le=65535)]
_Day: Final = 86_400_000


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration file."""


class NexusSettings(Section, frozen=True, kw_only=True):
    listen: Annotated[str, _about("Address that Nexus listens on; `::` or `0.0.0.0` is every interface.")] = "127.0.0.1"
    api_port: Annotated[_AnyPort, _about("HTTPS and WebSocket: panel, REST, joining. 0 takes a free one.")] = 7400
    node_port: Annotated[_AnyPort, _about("gRPC for nodes, by client certificate. 0 takes a free one.")] = 7401
    grpc_port: Annotated[_AnyPort, _about("gRPC for programs, by bearer token. 0 takes a free one.")] = 7402
    data_dir: Annotated[str, _about("Folder of the event log, snapshots and keys.", unit="path")] = field(
        default_factory=lambda: str(default_root(os.environ) / "nexus")
    )
    public_names: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...],
        Meta(max_length=32),
        _about("Names and addresses by which others reach Nexus; they stand in its certificate."),
    ] = ()
    demo: Annotated[bool, _about("This fabric is a demonstration: its status and the panel say so.")] = False

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.listen)
        except ValueError:
            raise FieldError(
                "listen", f"{self.listen!r} is not an IP address; write 127.0.0.1, 0.0.0.0 or ::"
            ) from None
        ports = [port for port in (self.api_port, self.node_port, self.grpc_port) if port]
        if len(set(ports)) != len(ports):
            raise FieldError("api_port", f"api_port, node_port and grpc_port must differ, not {ports}")


class NodeSettings(Section, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=40), _about("Name of this node; empty takes the host's.")] = ""
    data_dir: Annotated[str, _about("Folder of the node's identity, outbox, instances and logs.", unit="path")] = field(
        default_factory=lambda: str(default_root(os.environ) / "node")
    )
    labels: Annotated[
        dict[LabelKey, LabelValue],
        Meta(max_length=64),
        _about(
            f"Labels that placement may ask for (keys {LABEL_KEY_PATTERN}, values {LABEL_VALUE_PATTERN}). "
            "In the environment: zone=a,disk=ssd."
        ),
    ] = {}
    port_range: Annotated[
        tuple[_AnyPort, _AnyPort], _about("Host ports that agents may get, first and last.", unit="ports")
    ] = (20000, 20999)
    reserve_cpu: Annotated[
        int, Meta(ge=0, le=MAX_QUANTITY), _about("Cpu kept for the host: cores (0.5) or 500m.", unit="cpu")
    ] = 0
    reserve_memory: Annotated[int, Meta(ge=0, le=MAX_QUANTITY), _bytes("Memory kept for the host.")] = 0
    drivers: Annotated[
        tuple[Name, ...],
        Meta(max_length=32),
        _about("Drivers of this node, of those installed; one that is named and does not work makes the node unwell."),
    ] = ()
    """Empty: all that are installed, of which only `process` is missed where it does not work."""

    cache_bytes: Annotated[
        int, Meta(ge=0, le=1 << 50), _bytes("Bound of what is kept of fetched artifacts for further instances.")
    ] = 5 << 30
    max_artifact_bytes: Annotated[
        int, Meta(ge=0, le=1 << 50), _bytes("Largest artifact that is fetched, and all that an archive may hold.")
    ] = 5 << 30
    keep_ended: Annotated[
        int,
        Meta(ge=0, le=10_000),
        _about("Ended instances, as tasks of jobs, whose output and files are kept; the oldest are dropped first."),
    ] = 200
    keep_ended_ms: Annotated[
        int, Meta(ge=0, le=3650 * _Day), _milliseconds("How long after the end of an instance they are kept.")
    ] = _Day
    keep_ended_bytes: Annotated[
        int,
        Meta(ge=0, le=1 << 50),
        _bytes("Bound of all that is kept of them; the last one to end is kept whatever its size."),
    ] = 4 << 30
    volume_paths: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...],
        Meta(max_length=64),
        _about(
            "Absolute paths at and below which instances may be given directories of this machine. Empty: anywhere but "
            "where the system and Omnitide keep their own; `none` alone: nowhere."
        ),
    ] = ()
    devices: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...],
        Meta(max_length=64),
        _about(
            "Device files, or directories of them, that containers may be given. Empty: null, zero, full, random and "
            "urandom; `none` alone: not even those."
        ),
    ] = ()

    def __post_init__(self) -> None:
        first, last = self.port_range
        if not 1 <= first <= last:
            raise FieldError("port_range", f"the range must go up from at least 1, not {first}-{last}")


class LeaseSettings(Section, frozen=True, kw_only=True):
    """How a silent node is noticed: a keepalive each `keepalive_ms` must be answered within `keepalive_timeout_ms`;
    the node may then reconnect for `reconnect_grace_ms` before it is unreachable, and after `lost_after_ms` more its
    instances are lost."""

    keepalive_ms: Annotated[
        int, Meta(ge=100, le=60_000), _milliseconds("Interval of keepalives on a node's connection.", live=True)
    ] = 1000
    keepalive_timeout_ms: Annotated[
        int, Meta(ge=100, le=60_000), _milliseconds("Time in which a keepalive must be answered.", live=True)
    ] = 1500
    reconnect_grace_ms: Annotated[
        int, Meta(ge=0, le=600_000), _milliseconds("From a broken connection to unreachable.", live=True)
    ] = 400
    lost_after_ms: Annotated[
        int, Meta(ge=0, le=30 * _Day), _milliseconds("From unreachable to lost, unless the agent says.", live=True)
    ] = 1500


class LogSettings(Section, frozen=True, kw_only=True):
    level: Annotated[Literal["debug", "info", "warning", "error"], _about("Least level written.", live=True)] = "info"
    format: Annotated[Literal["console", "json"], _about("Columns for people or JSON for programs.")] = "console"
    max_bytes: Annotated[
        int,
        Meta(ge=64 << 10, le=64 << 20),
        _bytes("Size at which nexus.log or node.log is set aside and begun anew, while the process runs."),
    ] = 16 << 20
    keep: Annotated[int, Meta(ge=0, le=100), _about("Logs set aside that are kept: nexus.log.1, .2 and so on.")] = 3


class LimitsSettings(Section, frozen=True, kw_only=True):
    max_body_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 30), _bytes("Largest request body that the API reads.", live=True)
    ] = 1 << 20
    max_spec_bytes: Annotated[
        int, Meta(ge=1024, le=2 << 20), _bytes("Largest spec of an agent or job, as stored.", live=True)
    ] = 256 << 10
    watcher_buffer: Annotated[
        int, Meta(ge=16, le=1 << 20), _about("Events that wait for a slow watcher before it must resume.", live=True)
    ] = 4096
    outbox_bytes: Annotated[
        int, Meta(ge=64 << 10, le=1 << 40), _bytes("Reports that a cut-off node keeps on disk.", live=True)
    ] = 64 << 20

    blob_bytes: Annotated[
        int, Meta(ge=0, le=1 << 50), _bytes("Bound of the blob store, all blobs together.", live=True)
    ] = 20 << 30
    max_blob_bytes: Annotated[int, Meta(ge=0, le=1 << 50), _bytes("Largest blob that is stored.", live=True)] = 5 << 30
    blob_keep_ms: Annotated[
        int,
        Meta(ge=0, le=3650 * _Day),
        _milliseconds("A blob that no spec names is removed when it was put so long ago.", live=True),
    ] = 7 * _Day

    def __post_init__(self) -> None:
        if self.max_spec_bytes > self.max_body_bytes:
            raise FieldError("max_spec_bytes", "must not be larger than max_body_bytes: no such spec could be sent")


class SnapshotSettings(Section, frozen=True, kw_only=True):
    every_records: Annotated[
        int, Meta(ge=1000, le=100_000_000), _about("Events in the log from one snapshot to the next.")
    ] = 100_000


class PanelSettings(Section, frozen=True, kw_only=True):
    session_ms: Annotated[
        int, Meta(ge=60_000, le=30 * _Day), _milliseconds("From a login to the panel to the next.", live=True)
    ] = 12 * 3_600_000


class MetricsSettings(Section, frozen=True, kw_only=True):
    memory: Annotated[
        int,
        Meta(ge=1 << 20, le=1 << 40),
        _bytes("Bound of the last 15 minutes of samples that Nexus holds; a series has 3,616 bytes."),
    ] = 512 << 20
    nexus_port: Annotated[
        _AnyPort,
        _about("Port of 127.0.0.1 at which Nexus shows /metrics without TLS and token. 0: only on its API port."),
    ] = 0
    node_port: Annotated[_AnyPort, _about("The same of the node proxy, with what it samples. 0: nowhere.")] = 0
    scraped_series: Annotated[
        int,
        Meta(ge=0, le=10_000),
        _about("Series that are taken of one instance's own endpoint; how many more it has is told.", live=True),
    ] = 1000


class OtelSettings(Section, frozen=True, kw_only=True):
    """Traces, logs and metrics for OpenTelemetry. What else there is to say, the standard OTEL_ variables say."""

    endpoint: Annotated[
        str,
        Meta(max_length=2048),
        _about(
            "Where an OpenTelemetry collector takes OTLP, such as http://127.0.0.1:4318. Empty: what "
            "OTEL_EXPORTER_OTLP_ENDPOINT says; if that says nothing, nothing is sent."
        ),
    ] = ""
    protocol: Annotated[
        Literal["", "http/protobuf", "grpc"],
        _about("How. Empty: what OTEL_EXPORTER_OTLP_PROTOCOL says, else http/protobuf."),
    ] = ""
    traces_per_second: Annotated[
        float,
        Meta(ge=0, le=10_000),
        _about(
            "Changes that are traced each second at most, of those whose callers do not trace them; "
            "OTEL_TRACES_SAMPLER says otherwise."
        ),
    ] = 10.0

    def __post_init__(self) -> None:
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise FieldError("endpoint", f"{self.endpoint!r} does not begin with http:// or https://")


class ClientSettings(Section, frozen=True, kw_only=True):
    """Where the CLI and the SDK find a fabric. What is empty is taken from the fabric that `up` started here."""

    url: Annotated[str, Meta(max_length=2048), _about("Address of Nexus, such as https://nexus.example:7400.")] = ""
    token: Annotated[
        str, Meta(max_length=4096), _about("API token; a token_file is the better place.", secret=True)
    ] = ""
    token_file: Annotated[str, _about("File that holds the API token.", unit="path")] = ""
    ca_file: Annotated[str, _about("File of the fabric's CA certificate (PEM).", unit="path")] = ""


class Settings(Section, frozen=True, kw_only=True):
    nexus: NexusSettings = field(default_factory=NexusSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    lease: LeaseSettings = LeaseSettings()
    log: LogSettings = LogSettings()
    limits: LimitsSettings = LimitsSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    panel: PanelSettings = PanelSettings()
    metrics: MetricsSettings = MetricsSettings()
    otel: OtelSettings = OtelSettings()
    client: ClientSettings = ClientSettings()
