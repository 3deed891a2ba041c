"""What Nexus keeps of samples leaves its memory with what it is of."""

import asyncio

import numpy as np
import pytest
from tests.support.memory_runtime import until
from tests.support.spec import Fabric

from omnitide.fabric import commands as cm
from omnitide.nexus import samples
from omnitide.nexus.manners import Complaints
from omnitide.nexus.samples import Samples
from omnitide.telemetry.series.definition import SeriesInfo


def known(of: Samples) -> list[str]:
    return sorted(node for node, _ in of.recent.nodes())


async def test_a_node_that_was_removed_is_forgotten_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta")
    made = Samples(lambda: fabric.state, lambda: fabric.time_ms, Complaints(), 1 << 24)
    for node in ("n-alpha", "n-beta"):
        entry = made.recent.entry(node, SeriesInfo("omnitide_node_memory_used_bytes", (("node", node),)), 1)
        assert entry is not None
        entry.ring.write(np.array([entry.row]), fabric.time_ms // 1000, np.ones((1, 1)), np.zeros(1, np.bool_), None)
    monkeypatch.setattr(samples, "SWEEP_S", 0.0)
    sweeps = asyncio.ensure_future(made.sweep_forever())
    fabric.when(cm.RemoveNode(node="alpha", force=True))
    await until(lambda: known(made) == ["n-beta"])
    assert made.recent.series == 1
    sweeps.cancel()
