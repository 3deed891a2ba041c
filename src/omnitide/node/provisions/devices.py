"""Which of this machine's devices a container may be given. The node decides, by its own configuration."""

import os
from collections.abc import Sequence
from typing import Final

from omnitide.model.host_paths import HARMLESS
from omnitide.node.provisions.errors import permanent

NONE: Final = ("none",)


def given(allowed: Sequence[str]) -> tuple[str, ...]:
    """What a node tells of the devices that it gives, so that what asks for others is placed elsewhere: those of the
    setting `node.devices` that are there, as they are named and as what they really are. `none` alone: none."""
    if not allowed:
        return HARMLESS
    there = [path for path in allowed if path not in NONE and os.path.exists(path)]
    return tuple(sorted({*there, *map(os.path.realpath, there)})) or NONE


class Devices:
    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """`allowed`: the setting `node.devices`."""
        named = [path for path in allowed if path not in NONE]
        self._allowed = tuple(map(os.path.realpath, named)) if allowed else HARMLESS

    def permit(self, devices: Sequence[str]) -> None:
        """`/dev/x` or `/dev/x:/dev/y` of a spec, by what they really are. Raises DriverError."""
        for device in devices:
            path = device.partition(":")[0]
            real = os.path.realpath(path)
            if not any(real == one or real.startswith(one.rstrip("/") + "/") for one in self._allowed):
                message = f"this node gives no container {path}: its setting node.devices does not name it"
                raise permanent(message, "device-refused")
