"""A Launch as the keeper's start request."""

import os
from collections.abc import Mapping

from omnitide.drivers.protocol import DriverError, Launch


def of_launch(launch: Launch, identity: Mapping[str, object] | None, stop_signal: int) -> dict[str, object]:
    return {
        "instance": launch.key.instance,
        "attempt": launch.key.attempt,
        "name": launch.name,
        "command": launch.command,
        "environment": launch.environment,
        "working_directory": launch.working_directory,
        "identity": identity,
        "limits": launch.limits,
        "limits_required": launch.limits_required,
        "logs": launch.log_policy,
        "stop_signal": stop_signal,
        "stop_grace_ms": launch.stop_grace_ms,
        "pre_stop": launch.pre_stop,
        "fence_ms": launch.fence_ms,
        "labels": launch.labels,
    }


def links(launch: Launch) -> dict[str, str]:
    """What is mounted below the private directory of a plain process: it is led there. Raises DriverError for what only
    who has its own view of the machine can have: an absolute target, or one that is for reading only."""
    found: dict[str, str] = {}
    for mount in launch.mounts:
        if mount.target.startswith("/"):
            message = f"{mount.target}: a plain process has no paths of its own but below its directory"
            raise DriverError(message, cause="mount", permanent=True)
        if mount.read_only:
            message = f"{mount.target}: to a plain process nothing is for reading only: it writes as its user may"
            raise DriverError(message, cause="mount", permanent=True)
        found[os.path.normpath(mount.target)] = mount.source
    return found
