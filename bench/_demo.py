"""A demo for benchmarks of the panel: the real Nexus with simulated nodes, until the block is left."""

import contextlib
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench._fabric import show

from omnitide.demo.stage import Ports, Stage, Wish
from omnitide.sdk import Target


class Shown(NamedTuple):
    target: Target
    pid: int
    """Of Nexus."""


@contextlib.contextmanager
def demo(wish: Wish) -> Iterator[Shown]:
    """Raises StageFailed where it does not come up."""
    stage = Stage(None, wish)
    stage.open()
    try:
        served = stage.nexus(Ports())
        began = time.monotonic()
        for _ in stage.machines(served):
            pass
        show(f"{wish.nodes} nodes, {wish.instances or 'few'} instances up", f"{time.monotonic() - began:.0f} s")
        nexus = stage.data / "nexus"
        token, ca = (nexus / "admin-token").read_text().strip(), (nexus / "ca.pem").read_text()
        yield Shown(Target(served.url, token, ca), served.pid)
    finally:
        stage.close()
