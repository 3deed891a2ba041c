"""What instances do that means no good, and a node without room: each a clear state, nothing left, the keeper well."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.keeper.conftest import Home, eventually, running
from omnitide.drivers import process_sandbox
from omnitide.drivers.protocol import DriverError, Limit, LogPolicy, Mount, RunKey, RunState
from omnitide.node.keeper import processes
from support.small_disk import SmallDisk

MIB = 1 << 20
KEPT = (
    *("keeper.id", "keeper.lock", "keeper.log", "keeper.place", "keeper.sock", "runs.journal", "start.lock"),
    *("logs", "spare", "trash", "work"),
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes file systems")


@pytest.fixture
def keeper_disk(open_path: Path) -> Iterator[SmallDisk]:
    """Mounted where the keeper of `one_home` will be."""
    disk = SmallDisk(open_path / "keeper")
    yield disk
    disk.unmount()


def descriptors(pid: int) -> list[str]:
    """What it has open, by name or kind; connections come and go with those who look."""
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd") if os.path.lexists(entry.path)]
    return sorted(link.partition(":[")[0] for link in links if not link.startswith("socket:"))


def size_of(directory: str) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(directory))


def mounts(*folders: str | Path) -> list[str]:
    """Of these folders, or in them: other tests mount as well."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted(line for line in lines if any(str(folder) in line for folder in folders))


def resident(pid: int) -> int:
    process = processes.look_up(pid)
    assert process is not None
    return process.memory_pages * os.sysconf("SC_PAGE_SIZE")


@as_root
async def test_output_for_which_there_is_no_room_is_told_of_and_stops_nobody(
    keeper_disk: SmallDisk, one_home: Home
) -> None:
    script = "head -c 3000000 /dev/zero; echo through > done; while [ ! -e go ]; do sleep 0.05; done; exit 3"
    await one_home.shell("flood", script)
    await eventually(lambda: Path(one_home.directory, "work/flood/done").exists(), "the end of its output")
    info = await one_home.driver.probe()
    assert info.healthy
    assert "cannot be kept: No space left on device" in info.detail
    one_home.tell("flood")
    end = (await one_home.end_of("flood")).exit
    assert end is not None
    assert end.code == 3
    assert "bytes of its output could not be kept: No space left on device" in end.message
    assert 0 < len(await one_home.output("flood")) < 512 << 10
    await one_home.driver.remove_instance("flood")
    assert "No space" not in (await one_home.driver.probe()).detail
    assert (await one_home.run("next", "echo fine")).exit.code == 0  # type: ignore[union-attr]
    assert await one_home.output("next") == b"fine\n"


@as_root
async def test_a_start_that_cannot_be_recorded_is_refused_and_goes_when_there_is_room(
    keeper_disk: SmallDisk, one_home: Home
) -> None:
    await one_home.shell("before", "exec sleep 1000")
    keeper_disk.fill()
    names = [f"full-{number}" for number in range(400)]  # for some the journal has room laid by
    with pytest.raises(DriverError) as refused:
        for name in names:
            await one_home.start(name, "/bin/sleep", "1000")
    assert refused.value.cause in ("no-disk", "resources")
    assert "No space left on device" in str(refused.value)
    assert not refused.value.permanent
    known = {run.key.instance for run in await one_home.driver.recover()}
    live = {processes.marker(pid).split("/")[1] for pid in one_home.processes()}
    assert live == known, "what was refused does not run, and what runs is known"
    keeper_disk.free()
    assert (await one_home.run("after", "exit 4")).exit.code == 4  # type: ignore[union-attr]


@as_root
async def test_a_keeper_that_dies_while_the_disk_is_full_is_followed_by_one_that_takes_its_runs_up(
    keeper_disk: SmallDisk, one_home: Home
) -> None:
    await one_home.shell("ended", "exit 3")
    await one_home.end_of("ended")
    await one_home.shell("web", "exec sleep 1000")
    keeper_disk.fill()
    for attempt in range(1, 4):
        await one_home.kill_keeper()
        lost = await one_home.find("web", attempt)
        assert lost is not None
        assert (lost.state, lost.exit and lost.exit.reason) == (RunState.UNKNOWN, "unknown")
        assert (await one_home.driver.probe()).healthy
        again = await one_home.shell("web", "echo up; exec sleep 1000", attempt=attempt + 1)
        assert again.state == RunState.RUNNING
    ended = await one_home.find("ended")
    assert ended is not None
    assert ended.exit is not None
    assert ended.exit.code == 3
    assert sorted(os.listdir(keeper_disk.path)) == sorted({*KEPT, "filler"}), "nothing half written is left"
    keeper_disk.free()
    await one_home.driver.stop(RunKey("web", 4), grace_ms=0)
    assert (await one_home.end_of("web", 4)).exit.signal == 9  # type: ignore[union-attr]
    await one_home.kill_keeper()
    known = {(run.key.instance, run.key.attempt): run.state for run in await one_home.driver.recover()}
    assert known == {
        ("ended", 1): RunState.EXITED,
        ("web", 4): RunState.EXITED,
        **{("web", attempt): RunState.UNKNOWN for attempt in (1, 2, 3)},
    }


@pytest.mark.parametrize(
    "isolation",
    [
        "none",
        pytest.param(
            "sandbox", marks=pytest.mark.skipif(not process_sandbox.works(), reason="bubblewrap does not work here")
        ),
    ],
)
async def test_one_that_does_all_of_it_at_once_leaves_nothing(one_home: Home, tmp_path: Path, isolation: str) -> None:
    """Floods, heeds no signal, spreads over sessions, and forks until it may no more."""
    await one_home.run("warm", "echo warm")
    await one_home.driver.remove_instance("warm")
    keeper = one_home.keeper_pid
    before, mounted, size = descriptors(keeper), mounts(one_home.directory, tmp_path), resident(keeper)
    (tmp_path / "given").mkdir()
    script = """
        trap '' TERM INT HUP
        for i in 1 2 3; do setsid sh -c 'trap "" TERM; while :; do sleep 1000; done' & done
        head -c 104857600 /dev/zero
        echo spread >&2
        bomb() { bomb | bomb & }
        bomb 2>/dev/null
        while :; do sleep 1000; done
    """
    limits = Limit(pids=40) if "pids" in (await one_home.driver.probe()).enforces else Limit()
    if not limits.pids:
        script = script.replace("bomb 2>/dev/null", "true")
    policy = LogPolicy(max_file_bytes=MIB, max_files=2)
    mount = [Mount(str(tmp_path / "given"), "/mnt/given" if isolation == "sandbox" else "given")]
    await one_home.shell("worst", script, limits=limits, log_policy=policy, isolation=isolation, mounts=mount)
    await one_home.says("worst", b"spread")
    assert len(one_home.processes()) <= 45
    assert size_of(f"{one_home.directory}/logs/worst") <= 2 * MIB
    assert resident(keeper) - size < 8 * MIB
    assert (await one_home.run("other", "echo well")).exit.code == 0  # type: ignore[union-attr]
    await one_home.driver.stop(RunKey("worst", 1), grace_ms=100)
    end = (await one_home.end_of("worst")).exit
    assert end is not None
    assert end.reason == "killed"
    for instance in ("worst", "other"):
        await one_home.driver.remove_instance(instance)
    await eventually(lambda: not one_home.processes(), "the end of all its processes")
    groups = [path for base in one_home.groups() for path, _, _ in os.walk(base) if "/run-" in path]
    assert groups == []
    assert mounts(one_home.directory, tmp_path) == mounted
    await eventually(lambda: not os.listdir(f"{one_home.directory}/trash"), "its directory is deleted")
    assert os.listdir(f"{one_home.directory}/work") == os.listdir(f"{one_home.directory}/logs") == []
    await eventually(lambda: descriptors(keeper) == before, "the keeper has closed what it had opened")
    assert running(keeper)


async def test_nothing_is_for_reading_only_to_a_plain_process(one_home: Home, tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="reading only") as refused:
        await one_home.start("a", "/bin/true", mounts=[Mount(str(tmp_path), "place", read_only=True)])
    assert (refused.value.cause, refused.value.permanent) == ("mount", True)
