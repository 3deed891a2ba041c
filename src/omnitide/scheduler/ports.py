"""Which host ports an instance is given."""

import zlib
from collections.abc import Callable

from omnitide.scheduler.ask import Waiter


def first_port(workload: str, waiter: Waiter, count: int, first: int, last: int) -> int:
    """Where in the range the search for an instance's `count` ports starts.

    It differs from workload to workload, slot to slot and generation to generation, so that a port that was just
    released (and may be in use by its old connections still) is not handed out at once while others are free.
    """
    size = last - first + 1
    stride = (size * 5 // 8) | 1
    """Not a multiple of the size, unless that is 1."""
    offset = zlib.crc32(workload.encode()) + (waiter.slot - 1) * count + (waiter.generation - 1) * stride
    return first + offset % size


def pick_ports(start: int, first: int, last: int, count: int, used: Callable[[int], bool]) -> list[int]:
    """The next `count` free ports from `start` on, going round at the end of the range; fewer if it has not so many."""
    found: list[int] = []
    for step in range(last - first + 1):
        port = first + (start - first + step) % (last - first + 1)
        if not used(port):
            found.append(port)
            if len(found) == count:
                break
    return found
