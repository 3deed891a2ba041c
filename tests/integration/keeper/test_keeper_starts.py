"""Where a run begins: in its own control group from its first instruction, however it was made, in a clean place."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import omnitide
from omnitide.node.keeper import cgroup_mounts

SOURCE = str(Path(omnitide.__file__).parent.parent)
WHERE = "cat /proc/self/cgroup"

SPAWN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from omnitide.node.keeper import linux, spawn

def refuse(group):
    raise OSError(16, "Device or resource busy")

if sys.argv[3] == "refused":
    linux.fork_into = refuse
elif sys.argv[3] == "unknown":
    linux.can_fork_into = lambda: False
null = os.open("/dev/null", os.O_RDWR)
groups = {sys.argv[4]: sys.argv[2]}
plan = spawn.Plan(
    programs=("/bin/cat",), arguments=("cat", "/proc/self/cgroup"), environment={}, directory="/",
    private_directory=True, identity=None, stdin=null, stdout=1, stderr=2, groups=groups, open_files=(64, 64),
    dies_with_keeper=False,
)
made = spawn.spawn(plan)
os.waitpid(made.pid, 0)
os.set_blocking(made.status_fd, True)
sys.exit(os.read(made.status_fd, 256) != b"")
"""


def spawned_into(group: str, how: str, key: str) -> str:
    """What the kernel says of where a child of `spawn` is."""
    command = [sys.executable, "-I", "-S", "-c", SPAWN, SOURCE, group, how, key]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def groups_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text()


@pytest.mark.root
@pytest.mark.parametrize("key", ["unified", "pids"])
@pytest.mark.parametrize("how", ["born there", "refused", "unknown"])
def test_a_fork_is_in_its_group(how, key):
    hierarchy = cgroup_mounts.discover_here().get(key)
    if hierarchy is None:
        pytest.skip(f"this machine has no hierarchy {key}")
    name = f"omnitide-test-{os.getpid()}"
    group = f"{hierarchy.own.rstrip('/')}/{name}"
    os.mkdir(group)
    try:
        assert any(line.endswith(f"/{name}") for line in spawned_into(group, how, key).splitlines())
    finally:
        os.rmdir(group)


async def test_one_start_and_many_begin_in_their_groups(one_home):
    if not one_home.ask("info")["tracks"]:
        pytest.skip("no control groups can be made here")
    names = [f"web-{number}" for number in range(4)]
    await one_home.shell("alone", WHERE)
    await one_home.end_of("alone")
    await asyncio.gather(*(one_home.shell(name, WHERE) for name in names))
    for name in ("alone", *names):
        assert (await one_home.end_of(name)).exit.code == 0
        assert f"/instances/run-{name}\n" in (await one_home.output(name)).decode()
    keeper = groups_of(one_home.keeper_pid)
    assert f"/omnitide-{one_home.keeper_id}/keeper\n" in keeper
    assert "/run-" not in keeper


async def test_the_directory_of_one_that_left_nothing_is_the_next_ones(one_home):
    if not one_home.ask("info")["tracks"]:
        pytest.skip("without control groups a process may have stayed in it")
    work = Path(one_home.directory, "work")
    await one_home.run("clean", "true")
    inode = (work / "clean").stat().st_ino
    await one_home.driver.remove_instance("clean")
    assert os.listdir(work) == []
    run = await one_home.run("next", "ls -A; touch mine")
    assert run.exit.code == 0
    assert await one_home.output("next") == b""
    status = (work / "next").stat()
    assert (status.st_ino, status.st_mode & 0o7777) == (inode, 0o700)
    await one_home.driver.remove_instance("next")
    assert (await one_home.run("last", "ls -A")).exit.code == 0
    assert await one_home.output("last") == b""
    assert (work / "last").stat().st_ino != inode or os.listdir(work / "last") == []


async def test_without_control_groups_no_directory_is_handed_on(homes):
    home = homes("keeper", "off")
    await home.run("one", "true")
    await home.driver.remove_instance("one")
    assert os.listdir(f"{home.directory}/spare") == []
