"""The engine's answers, as far as they are read. Field names are the Docker Engine API's (1.41)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import field

NEVER: Final = "0001-01-01T00:00:00Z"


class Answer(msgspec.Struct, frozen=True, rename="pascal"):
    """Unknown fields are ignored: engines differ."""


class Component(Answer, frozen=True):
    name: str = ""


class Version(Answer, frozen=True):
    version: str
    api_version: str
    platform: Mapping[str, Any] = {}
    components: Sequence[Component] | None = None

    @property
    def podman(self) -> bool:
        """It is Podman that answers, with Docker's words."""
        return any(one.name.startswith("Podman") for one in self.components or ())


class Info(Answer, frozen=True):
    memory_limit: bool = False
    swap_limit: bool = False
    pids_limit: bool = False
    cpu_cfs_quota: bool = False
    ncpu: int = field(name="NCPU", default=0)
    system_time: str = ""
    docker_root_dir: str = ""


class State(Answer, frozen=True):
    status: str = ""
    oom_killed: bool = field(name="OOMKilled", default=False)
    exit_code: int = 0
    error: str = ""
    started_at: str = NEVER
    finished_at: str = NEVER
    pid: int = 0


class Config(Answer, frozen=True):
    labels: Mapping[str, str] | None = None
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    image: str = ""
    env: Sequence[str] | None = None


class Endpoint(Answer, frozen=True):
    ip_address: str = field(name="IPAddress", default="")
    global_i_pv6_address: str = field(name="GlobalIPv6Address", default="")


class NetworkSettings(Answer, frozen=True):
    networks: Mapping[str, Endpoint | None] | None = None


class HostConfig(Answer, frozen=True):
    network_mode: str = ""
    init: bool | None = None


class Container(Answer, frozen=True):
    """Of `GET /containers/ID/json`."""

    id: str
    name: str
    state: State
    config: Config
    path: str = ""
    args: Sequence[str] = ()
    created: str = NEVER
    image: str = ""
    log_path: str = ""
    network_settings: NetworkSettings = NetworkSettings()
    host_config: HostConfig = HostConfig()


class Listed(Answer, frozen=True):
    """Of `GET /containers/json`."""

    id: str
    labels: Mapping[str, str] | None = None
    state: str = ""
    created: int = 0
    image_id: str = field(name="ImageID", default="")


class Created(Answer, frozen=True):
    id: str
    warnings: Sequence[str] | None = None


class ImageConfig(Answer, frozen=True):
    working_dir: str = ""
    user: str = ""


class Image(Answer, frozen=True):
    id: str
    repo_digests: Sequence[str] | None = None
    config: ImageConfig | None = None


class Waited(Answer, frozen=True):
    status_code: int = 0


class ExecState(Answer, frozen=True):
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    container_id: str = field(name="ContainerID", default="")


class Network(Answer, frozen=True):
    id: str
    name: str = ""


class Actor(Answer, frozen=True):
    id: str = field(name="ID", default="")
    attributes: Mapping[str, str] = {}


class Event(msgspec.Struct, frozen=True):
    action: str = field(name="Action", default="")
    actor: Actor = field(name="Actor", default_factory=Actor)
    time_nano: int = field(name="timeNano", default=0)


class ProgressDetail(msgspec.Struct, frozen=True):
    current: int = 0
    total: int = 0


class PullLine(msgspec.Struct, frozen=True):
    status: str = ""
    id: str = ""
    error: str = ""
    detail: ProgressDetail | None = field(name="progressDetail", default=None)


def nanoseconds(text: str) -> int:
    """A time of the engine's, since 1970; 0 for its word for never."""
    if text.startswith("0001-"):
        return 0
    return whole_seconds(text[:19], text[19:]) * 1_000_000_000 + _fraction(text[19:])


def whole_seconds(text: str, rest: str = "Z") -> int:
    zone = rest.lstrip(".0123456789")
    moment = datetime.fromisoformat(text + (zone if zone and zone != "Z" else "+00:00"))
    return int(moment.astimezone(UTC).timestamp())


def _fraction(rest: str) -> int:
    if not rest.startswith("."):
        return 0
    digits = rest[1 : len(rest) - len(rest[1:].lstrip("0123456789"))]
    return int(digits[:9].ljust(9, "0"))


def milliseconds(text: str) -> int:
    return nanoseconds(text) // 1_000_000
