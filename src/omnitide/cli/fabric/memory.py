"""What Nexus of a data folder was told when it last came up, for the next `up`, also after `down`.

The supervisor's record holds what is to run now, and so also what could not: this holds only what has worked.
"""

import contextlib
from pathlib import Path
from typing import Final

import msgspec

from omnitide.cli.fabric.layout import Layout
from omnitide.cli.fabric.told import Flags

FILE: Final = "told.json"


class Memory(msgspec.Struct, frozen=True):
    flags: Flags = {}
    """Those of its command line."""
    node_endpoint: str = ""
    """Where nodes have found it."""


def recall(layout: Layout) -> Memory:
    """Empty where it has not come up yet."""
    try:
        return msgspec.json.decode(_file(layout).read_bytes(), type=Memory)
    except (OSError, msgspec.MsgspecError):
        return Memory()


def keep(layout: Layout, memory: Memory) -> None:
    """Without room for it what was told before is kept, and Nexus runs all the same."""
    if recall(layout) == memory:
        return
    beside = layout.data / f"{FILE}.next"
    with contextlib.suppress(OSError):
        beside.write_bytes(msgspec.json.encode(memory))
        beside.chmod(0o600)
        beside.replace(_file(layout))


def _file(layout: Layout) -> Path:
    return layout.data / FILE
