"""From a launch to what the engine is asked to make, and from its refusals to causes."""

import posixpath
import re
from collections.abc import Sequence
from typing import Final

from omnitide.drivers.docker import naming
from omnitide.drivers.docker.answers import Info
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.protocol import DriverError, Launch, LogPolicy
from omnitide.model.container import Container, Ulimit

NETWORK_MODES: Final = ("bridge", "host", "none")
LEAST_CPU_MILLI: Final = 10
"""The engine refuses less."""


def container_part(launch: Launch) -> Container:
    if launch.container is None:
        raise DriverError("the spec names no container image", cause="invalid", permanent=True)
    return launch.container


def unenforceable(launch: Launch, info: Info) -> tuple[str, ...]:
    """Limits that are asked for and that this engine cannot hold. Raises DriverError where they are required."""
    limits = launch.limits
    asked = {
        "cpu": (limits.cpu_milli, info.cpu_cfs_quota),
        "memory": (limits.memory_bytes, info.memory_limit),
        "pids": (limits.pids, info.pids_limit),
    }
    lacking = tuple(name for name, (wanted, can) in asked.items() if wanted and not can)
    if lacking and launch.limits_required:
        message = f"the engine's kernel cannot limit {', '.join(lacking)}"
        raise DriverError(message, cause="limits", permanent=True)
    return lacking


def body(launch: Launch, node_id: str, info: Info, network: str, image: str, home: str) -> dict[str, object]:
    """Of `POST /containers/create`. `network`: the engine's name of it. `home`: where relative mounts are.

    Raises DriverError.
    """
    part = container_part(launch)
    lacking = unenforceable(launch, info)
    made: dict[str, object] = {
        "Image": image,
        "Env": [f"{key}={value}" for key, value in launch.environment.items()],
        "Labels": naming.labels(launch, node_id, lacking, network),
        "Tty": part.tty,
        "OpenStdin": part.tty or part.stdin_open,
        "HostConfig": _host_config(launch, part, info, network, lacking, home),
    }
    if launch.command:
        made["Cmd"] = list(launch.command)
    if part.entrypoint:
        made["Entrypoint"] = list(part.entrypoint)
    if launch.working_directory:
        made["WorkingDir"] = launch.working_directory
    if launch.user:
        made["User"] = launch.user
    if part.hostname:
        made["Hostname"] = part.hostname
    if _publishes(part):
        made["ExposedPorts"] = {f"{port.target}/{port.protocol}": {} for port in launch.ports}
    if part.network not in NETWORK_MODES and launch.workload:
        made["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": [launch.workload, *part.aliases]}}}
    return made


def _publishes(part: Container) -> bool:
    return part.network not in ("host", "none")


def _host_config(
    launch: Launch, part: Container, info: Info, network: str, lacking: Sequence[str], home: str
) -> dict[str, object]:
    dropped, added = _capabilities(part)
    return {
        "RestartPolicy": {"Name": "no"},
        "NetworkMode": network,
        "CapDrop": dropped,
        "CapAdd": added,
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": part.read_only,
        "Init": part.init,
        "Tmpfs": {path: f"size={size}" if size else "" for path, size in part.tmpfs.items()},
        "ShmSize": part.shm_size,
        "Devices": [_device(text) for text in part.devices],
        "Sysctls": dict(part.sysctls),
        "Ulimits": [_ulimit(name, most) for name, most in part.ulimits.items()],
        "GroupAdd": list(part.groups),
        "ExtraHosts": [f"{name}:{address}" for name, address in part.extra_hosts.items()],
        "Dns": list(part.dns),
        "Mounts": [
            {
                "Type": "bind",
                "Source": mount.source,
                "Target": posixpath.normpath(posixpath.join(home, mount.target)),
                "ReadOnly": mount.read_only,
            }
            for mount in launch.mounts
        ],
        "PortBindings": _bindings(launch) if _publishes(part) else {},
        "LogConfig": {
            "Type": "json-file",
            "Config": _rotation(launch.log_policy),
        },
        **_limits(launch, info, lacking),
    }


def _bindings(launch: Launch) -> dict[str, list[dict[str, str]]]:
    """By the container's port, which may be open under several of the node's."""
    made: dict[str, list[dict[str, str]]] = {}
    for port in launch.ports:
        where = {"HostPort": str(port.host), **({"HostIp": port.host_ip} if port.host_ip else {})}
        made.setdefault(f"{port.target}/{port.protocol}", []).append(where)
    return made


def _ulimit(name: str, most: int | Ulimit) -> dict[str, object]:
    pair = (most, most) if isinstance(most, int) else (most.soft, most.hard)
    return {"Name": name, "Soft": pair[0], "Hard": pair[1]}


def _rotation(policy: LogPolicy) -> dict[str, str]:
    """A single file the engine empties when it is full, the newest output too: it gets two of half the size."""
    files = max(2, policy.max_files)
    size = policy.max_file_bytes if policy.max_files > 1 else policy.max_file_bytes // 2
    return {"max-size": str(size), "max-file": str(files)}


def _limits(launch: Launch, info: Info, lacking: Sequence[str]) -> dict[str, object]:
    made: dict[str, object] = {}
    limits = launch.limits
    if limits.cpu_milli and "cpu" not in lacking:
        most = info.ncpu * 1000 if info.ncpu else limits.cpu_milli
        made["NanoCpus"] = max(LEAST_CPU_MILLI, min(limits.cpu_milli, most)) * 1_000_000
    if limits.memory_bytes and "memory" not in lacking:
        made["Memory"] = limits.memory_bytes
        if info.swap_limit:
            made["MemorySwap"] = limits.memory_bytes  # of both together: no swap
    if limits.pids and "pids" not in lacking:
        made["PidsLimit"] = limits.pids
    return made


def _capabilities(part: Container) -> tuple[list[str], list[str]]:
    """Dropped and added."""
    named = [f"CAP_{name}" if name != "ALL" else name for name in part.capabilities if name != "default"]
    return ([], named) if "default" in part.capabilities else (["ALL"], named)


def _device(text: str) -> dict[str, str]:
    outside, _, inside = text.partition(":")
    return {"PathOnHost": outside, "PathInContainer": inside or outside, "CgroupPermissions": "rwm"}


_BUSY = re.compile(r":(\d+)(?:/\w+)? failed: port is already allocated|:(\d+): bind: address already in use")
_CAUSES: Final = (
    # Words of the engine or of its runtime, cause, permanent
    (
        r"executable file not found|exec: .*(no such file or|not a) directory|no command specified",
        "command-not-found",
        True,
    ),
    (r"unable to find (user|group)|no matching entries in (passwd|group)", "user", True),
    (r"no space left on device", "no-disk", False),
    (r"no such image|image not known", "image-missing", False),
    (r"container-init binary not found", "init-missing", True),
    (r"cannot assign requested address", "host-ip", True),
    (r"bind source path does not exist", "mount", False),
    (r"mkdir .*read-only file system", "read-only", True),
    (r"gathering device information|device .* does not exist", "device", True),
    (r"chdir to cwd|mkdir .* not a directory", "working-directory", True),
    (r"memory limit|range of cpus|pids.*limit", "limits", True),
    (r"exec: .*permission denied", "permission", True),
    (r"invalid |unknown |not supported|conflicting options|is not (an )?allowed", "invalid", True),
)


def start_error(error: EngineRefused) -> DriverError:
    """A refusal to create or start, with its cause."""
    said = str(error)
    busy = _BUSY.search(said)
    if busy is not None:
        # The number alone: Nexus reads it from there to give another one.
        return DriverError(busy[1] or busy[2], cause="port-busy", permanent=False)
    for words, cause, permanent in _CAUSES:
        if re.search(words, said, re.IGNORECASE):
            return DriverError(said, cause=cause, permanent=permanent)
    return DriverError(said, cause="start-failed", permanent=error.status == BAD_REQUEST)


BAD_REQUEST: Final = 400
