"""`python -m omnitide.node.emptying`: as the command line runs it, with a driver that somebody else ships."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from omnitide.config.emptying import Emptied, mark_used

DRIVER = """
import os
from omnitide.drivers.protocol import DriverError, DriverInfo, Run, RunKey, RunState

class Others:
    name = "others"

    def __init__(self, directory):
        self._live = os.path.join(directory, "live")

    async def probe(self):
        return DriverInfo(name=self.name, version="1", healthy=True)

    async def recover(self):
        if os.path.exists(self._live + ".broken"):
            raise DriverError("its runtime is broken", cause="driver-unavailable", permanent=False)
        state = RunState.RUNNING if os.path.exists(self._live) else RunState.EXITED
        return [Run(key=RunKey("a", 1), state=state, handle="1")]

    async def stop(self, key, *, grace_ms=None):
        os.unlink(self._live)

    async def close(self):
        pass

def make(context):
    assert context.only_to_end
    return Others(context.directory)
"""


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A package with a driver, as it is installed."""
    folder = tmp_path / "site"
    information = folder / "others-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "others_driver.py").write_text(DRIVER)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[omnitide.drivers]\nothers = others_driver:make\n")
    return folder


def emptied(data: Path, shipped: Path | None, code: int) -> Emptied:
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "omnitide.node.emptying", "--data", data, "--node-id", "n-1"],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(shipped or "")},
    )
    assert ran.returncode == code, ran.stderr.decode()
    return msgspec.json.decode(ran.stdout, type=Emptied)


def test_what_a_driver_of_others_runs_is_ended_though_it_leaves_no_mark_itself(tmp_path: Path, shipped: Path) -> None:
    data = tmp_path / "node"
    live = data / "drivers" / "others" / "live"
    live.parent.mkdir(parents=True)
    live.touch()
    mark_used(data, "others")
    assert emptied(data, shipped, 0) == Emptied(stopped=1)
    assert not live.exists()
    assert emptied(data, shipped, 0) == Emptied(stopped=0)


def test_a_driver_that_is_broken_or_gone_is_said_to_be(tmp_path: Path, shipped: Path) -> None:
    data = tmp_path / "node"
    live = data / "drivers" / "others" / "live"
    live.parent.mkdir(parents=True)
    live.with_suffix(".broken").touch()
    mark_used(data, "others")
    assert emptied(data, shipped, 1).problems == ("others: its runtime is broken",)
    (problem,) = emptied(data, None, 1).problems
    assert problem.startswith("others: no driver 'others' is installed")
