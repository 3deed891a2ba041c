"""An engine that hangs: known in seconds, by the node's look at its drivers and by whatever is asked of it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError, DriverInfo, RunKey
from omnitide.drivers.streams import ExecRequest
from omnitide.node.answering import answers, unless_silent
from omnitide.node.clock import WallClock
from omnitide.node.stimuli import Stimulus
from omnitide.node.watching import Watching
from support.container_engine import DockerEngine
from support.driver_kit import Kit
from support.fabric_processes import freeze


async def nobody(stimulus: Stimulus) -> None:
    pass


@pytest.mark.root
async def test_an_engine_that_hangs_is_silent_until_it_goes_on(
    engine: DockerEngine,
    make_docker: Callable[[Path, DockerEngine], Kit],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("omnitide.node.watching.PROBE_DEADLINE", 0.3)
    monkeypatch.setattr("omnitide.node.answering.PATIENCE_S", 0.1)
    monkeypatch.setattr("omnitide.node.answering.RUNTIME_S", 0.2)
    kit = make_docker(tmp_path, engine)
    watching = Watching(kit.driver, nobody, WallClock())
    try:
        await kit.driver.start(kit.launch(RunKey("a", 1), ("heed",)))
        assert (await watching.probe()).healthy
        assert engine._process is not None
        freeze(engine._process.pid)
        try:
            detail = "no answer within 0.3 s"
            assert await watching.probe() == DriverInfo("docker", "", healthy=False, detail=detail, silent=True)
            assert not await answers(kit.driver)
            with pytest.raises(DriverError) as refused:
                await unless_silent(kit.driver, kit.driver.exec(RunKey("a", 1), ExecRequest(command=("/conform",))))
            assert (refused.value.cause, refused.value.permanent) == ("driver-unavailable", False)
        finally:
            os.kill(engine._process.pid, signal.SIGCONT)
        monkeypatch.undo()
        info = await watching.probe()
        assert (info.healthy, info.silent) == (True, False)
        (run,) = await kit.driver.recover()
        assert run.key == RunKey("a", 1)
    finally:
        await kit.clear()
