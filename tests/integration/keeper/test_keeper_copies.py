"""A keeper's directory that was copied, moved or mounted elsewhere: whose the runs in its journal are."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from omnitide.drivers.protocol import RunState
from omnitide.node.keeper.launch import ensure_keeper, stop_keeper


def copy(home, target: Path) -> None:
    """As `cp -a` does: sockets and all."""
    subprocess.run(["cp", "-a", home.directory, str(target)], check=True)


def notes_of(home) -> str:
    return Path(home.directory, "keeper.log").read_text()


@pytest.mark.parametrize("lives", [True, False], ids=["keeper-lives", "keeper-died"])
@pytest.mark.parametrize("cgroup", ["auto", "off"])
async def test_a_copys_keeper_kills_nothing_of_the_originals(homes, is_running, tmp_path, cgroup, lives):
    """Nor its keeper, which sits in a control group named after the id that was copied."""
    home = homes("original", cgroup)
    run = await home.shell("web-1", "sleep 60 & wait")
    await home.run("over", "echo words; exit 4")
    keeper = home.keeper_pid
    copy(home, tmp_path / "copy")
    if not lives:
        await home.kill_keeper()
        run = await home.start("web-1", "/bin/sleep", "60", attempt=2)
        keeper = home.keeper_pid

    other = homes("copy", cgroup)
    found = {run.key.instance: run for run in await other.driver.recover()}
    assert is_running(int(run.handle))
    assert is_running(keeper)
    assert home.keeper_pid == keeper
    assert other.keeper_id != home.keeper_id
    assert found["web-1"].state is RunState.UNKNOWN
    assert str(home.directory) in found["web-1"].exit.message
    assert found["over"].exit.code == 4
    assert await other.output("over") == b"words\n"
    assert f"a copy of {home.directory}" in notes_of(other)

    # It is its own directory from now on: what it starts is found again after its death.
    mine = await other.start("web-1", "/bin/sleep", "60", attempt=2)
    await other.kill_keeper()
    await other.driver.recover()
    assert not is_running(int(mine.handle))
    assert is_running(int(run.handle))


async def test_a_directory_that_was_moved_is_still_its_keepers(homes, is_running, tmp_path):
    """Served by the one that lives; after its death what it left is found and ended."""
    home = homes("before")
    run = await home.start("web-1", "/bin/sleep", "60")
    keeper = home.keeper_pid
    os.rename(home.directory, tmp_path / "after")
    moved = homes("after")
    assert [found.handle for found in await moved.driver.recover()] == [run.handle]
    assert moved.keeper_pid == keeper
    await moved.kill_keeper()
    assert [found.state for found in await moved.driver.recover()] == [RunState.UNKNOWN]
    assert not is_running(int(run.handle))
    home.directory = moved.directory


async def test_a_copy_in_the_place_of_the_original_spares_what_still_runs_for_it(homes, is_running, tmp_path):
    home = homes("place")
    run = await home.start("web-1", "/bin/sleep", "60")
    os.rename(home.directory, tmp_path / "aside")
    shutil.copytree(tmp_path / "aside", home.directory, ignore=shutil.ignore_patterns("*.sock"))
    ensure_keeper(home.directory)
    assert is_running(int(run.handle))
    stop_keeper(str(tmp_path / "aside"), stop_runs=True, grace_ms=0)
