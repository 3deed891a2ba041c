"""Where the container engine of this machine listens. Looks, but does not connect."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "DOCKER_HOST"


def sockets(environment: Mapping[str, str]) -> list[Path]:
    """Those that are looked for: Docker's, Docker's without root, Podman's, Podman's without root."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    own = Path(runtime) if runtime else None
    found = [Path("/var/run/docker.sock")]
    if own is not None:
        found.append(own / "docker.sock")
    found.append(Path("/run/podman/podman.sock"))
    if own is not None:
        found.append(own / "podman" / "podman.sock")
    return found


def find(environment: Mapping[str, str] = os.environ) -> str | None:
    """`unix:///path` or `tcp://host:port`: what DOCKER_HOST says, else the first socket there is; None without any."""
    told = environment.get(VARIABLE, "")
    if told:
        return told
    return next((f"unix://{path}" for path in sockets(environment) if _is_socket(path)), None)


def absent(environment: Mapping[str, str] = os.environ) -> str:
    """Why there is no engine, for people."""
    looked = ", ".join(map(str, sockets(environment)))
    return f"there is no container engine here: {VARIABLE} is not set, and none of {looked} is a socket"


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
