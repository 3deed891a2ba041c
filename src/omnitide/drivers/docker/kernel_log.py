"""Whether the kernel has killed something of a container for want of memory, by its own log.

Podman does not know (in 4.3 its monitor notes it at a place that all containers share), and Docker only where it heard
of it before the end. The kernel names the control group of what it kills, and the engine calls that by the container's
id. A log that may not be read says nothing, nor
does one that has been written over since, or that left the record out among very many.
"""

import contextlib
import os
from typing import Final

LOG: Final = "/dev/kmsg"
RECORD: Final = 8192
"""The kernel's own bound of one."""
MOST: Final = 200_000
"""Records; its ring holds fewer."""


def killed_for_memory(container: str, log: str = LOG) -> bool:
    """`container`: its whole id. Blocks for as long as it takes to read some megabytes at most."""
    wanted = container.encode()
    with contextlib.suppress(OSError):
        file = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            for _ in range(MOST):
                try:
                    record = os.read(file, RECORD)
                except BrokenPipeError:
                    continue  # overwritten meanwhile; the next read begins at what is the oldest now
                if not record:
                    break
                if b"oom-kill:" in record and wanted in record.partition(b"task_memcg=")[2].partition(b",")[0]:
                    return True
        finally:
            os.close(file)
    return False
