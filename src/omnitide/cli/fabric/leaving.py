"""Telling the node proxy that what runs here is about to be ended and that this node goes.

It then tells Nexus how its instances end instead of starting them again, and its goodbye is one for good: they are run
elsewhere at once. Without it Nexus takes the end of a proxy for a restart, and waits.
"""

import contextlib
import os
import signal
import time
from typing import Final

from omnitide.cli.fabric import kept, processes
from omnitide.cli.fabric.layout import Layout
from omnitide.config.emptying import mark_for_good

HEARD_S: Final = 5.0


def begin_leaving(layout: Layout, *, for_good: bool = False) -> bool:
    """Whether a node proxy of this machine has heard it. Its instances are then to be ended, and it after them.
    `for_good`: it is then no node any more, and says so.

    False for none, for one that systemd keeps, that Nexus does not hear, that is of another version or hangs: it is to
    be ended before its instances, which it would start again. They are then due when it is started again.
    """
    found = kept.find(layout, "node")
    if found is None or found.unit:
        return False
    place = layout._replace(node=found.folder)
    said = place.node_ready()
    if said.pid != found.pid or said.leaving is None or not said.connected:
        return False
    with contextlib.suppress(OSError):  # without room it says that it was stopped
        mark_for_good(place.node, leaves=for_good)
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGUSR1)
    deadline = time.monotonic() + HEARD_S
    while time.monotonic() < deadline:
        said = place.node_ready()
        if said.pid != found.pid:
            return False
        if said.leaving:
            return True
        time.sleep(processes.POLL_S)
    return False
