"""Which of this machine's devices a container may be given. The node decides, by its own configuration."""

import os
from collections.abc import Sequence
from typing import Final

from omnitide.node.provisions.errors import permanent

HARMLESS: Final = ("/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")
"""What every container has of its own. Given by any other path too, unless the setting names devices."""
NONE: Final = ("none",)


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
