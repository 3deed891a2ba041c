"""A process that keeps samples by the minute, under a clock that stands still at a given second, and kills itself.

python sampled.py FOLDER BEGIN_S NOW_S
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np

from omnitide.nexus.rollups import Rolled
from omnitide.store.rollups import RollupStore
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.recent import Recent

NODE = "n1"


async def main(folder: Path, begin_s: int, now_s: int) -> None:
    recent = Recent(1 << 24)
    now = begin_s
    rolled = Rolled(RollupStore(folder), recent, lambda: now, {"alpha": NODE}.get)
    entry = recent.entry(NODE, SeriesInfo("m", (("node", "alpha"),), "gauge", "bytes", "A thing."), 1)
    assert entry is not None
    now = now_s
    samples = np.ones((1, now_s - begin_s))
    entry.ring.write(np.array([entry.row]), begin_s, samples, np.array([False]), None)
    await rolled.keep_due()
    os.kill(os.getpid(), signal.SIGKILL)


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
