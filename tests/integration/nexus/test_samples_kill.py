"""What a Nexus that is killed loses of its samples by the minute."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnitide.nexus.rollups import SOON_S
from omnitide.store.rollups import RollupStore
from omnitide.telemetry.series.blocks import decode

BEGIN = 30_000_000 * 60
MINUTES = 3
MOST_LOST_S = 60 + SOON_S


@pytest.mark.parametrize("after_s", [0, SOON_S - 1, SOON_S, 30, 59])
def test_a_kill_loses_the_minute_under_way_and_one_that_has_only_just_ended(tmp_path: Path, after_s: int) -> None:
    """`after_s`: seconds since a minute ended."""
    now = BEGIN + 60 * MINUTES + after_s
    program = Path(__file__).with_name("sampled.py")
    killed = subprocess.run([sys.executable, program, tmp_path / "s", str(BEGIN), str(now)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    store = RollupStore(tmp_path / "s")
    try:
        found = [store.minute(BEGIN // 60 + number, "n1") for number in range(MINUTES)]
    finally:
        store.close()
    whole = [data is not None and int(decode(data).number[0, 0]) == 60 for data in found]
    kept = MINUTES if after_s >= SOON_S else MINUTES - 1
    assert whole == [number < kept for number in range(MINUTES)]
    assert now - (BEGIN + 60 * kept) < MOST_LOST_S
