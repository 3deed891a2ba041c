"""What surrounds a run: the command before its stop, links to what is mounted, and the age of its log."""

import os
import time
from pathlib import Path

import pytest

from integration.keeper.conftest import Home, eventually
from omnitide.drivers.protocol import DriverError, Exit, LogPolicy, Mount, RunKey
from omnitide.node.keeper import linux
from omnitide.node.keeper.launch import upgrade_keeper
from omnitide.node.keeper.log_format import file_name
from omnitide.node.keeper.log_writer import LogWriter

SERVES = "trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done"


def ending(end: Exit | None) -> tuple[int | None, str]:
    assert end is not None
    return end.code, end.reason


def there(*parts: str) -> bool:
    return Path(*parts).exists()


async def test_the_command_before_the_stop_runs_first_in_its_place_and_environment(home: Home) -> None:
    hook = ("/bin/sh", "-c", "echo before $NAME in $(basename $PWD)")
    await home.shell("one", SERVES, pre_stop=hook, environment={"NAME": "value"})
    await home.says("one", b"up")
    await home.driver.stop(RunKey("one", 1))
    assert ending((await home.end_of("one")).exit) == (3, "stopped")
    assert (await home.output("one")).split() == [b"up", b"before", b"value", b"in", b"one", b"asked"]


async def test_what_it_does_not_finish_within_the_grace_is_killed_with_the_rest(home: Home) -> None:
    await home.shell("one", SERVES, pre_stop=("/bin/sh", "-c", "echo waiting; sleep 1000"))
    await home.says("one", b"up")
    await home.driver.stop(RunKey("one", 1), grace_ms=300)
    assert ending((await home.end_of("one")).exit) == (None, "killed")
    assert b"asked" not in await home.output("one")
    await eventually(lambda: not home.processes(), "the end of the command too")


async def test_one_that_cannot_be_executed_is_told_and_the_stop_goes_on(home: Home) -> None:
    await home.shell("one", SERVES, pre_stop=("/no/such/program",))
    await home.says("one", b"up")
    await home.driver.stop(RunKey("one", 1))
    assert ending((await home.end_of("one")).exit) == (3, "stopped")
    assert b"pre_stop: /no/such/program" in await home.output("one", "stderr")


async def test_without_grace_there_is_no_such_command(home: Home) -> None:
    await home.shell("one", SERVES, pre_stop=("/bin/echo", "before"))
    await home.says("one", b"up")
    await home.driver.stop(RunKey("one", 1), grace_ms=0)
    await home.end_of("one")
    assert b"before" not in await home.output("one")


async def test_a_run_that_ends_meanwhile_is_not_waited_for(home: Home) -> None:
    await home.shell("one", "echo up; until [ -e go ]; do sleep 0.02; done; exit 9", pre_stop=("/bin/sleep", "1000"))
    await home.says("one", b"up")
    await home.driver.stop(RunKey("one", 1), grace_ms=60_000)
    home.tell("one")
    assert ending((await home.end_of("one")).exit) == (9, "stopped")
    await eventually(lambda: not home.processes())


async def test_it_is_heard_to_end_over_the_keeper_s_upgrade(home: Home) -> None:
    hook = ("/bin/sh", "-c", "echo waiting; until [ -e go ]; do sleep 0.02; done")
    await home.shell("one", SERVES, pre_stop=hook)
    await home.says("one", b"up")
    await home.driver.stop(RunKey("one", 1), grace_ms=60_000)
    await home.says("one", b"waiting")
    upgrade_keeper(home.directory)
    home.tell("one")
    assert ending((await home.end_of("one", driver=home.another_driver())).exit) == (3, "stopped")


async def test_mounts_of_a_plain_process_are_links_in_its_directory(home: Home, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "file").write_text("content")
    mounts = [Mount(str(source), "a/b/data"), Mount(str(source / "file"), "file")]
    await home.run("one", "cat a/b/data/file file", mounts=mounts)
    assert await home.output("one") == b"contentcontent"
    await home.start("one", "/bin/true", attempt=2, mounts=mounts)
    await home.end_of("one", 2)


async def test_a_link_that_an_attempt_before_laid_leads_nowhere(home: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    await home.run("one", f"ln -s {outside} trap")
    with pytest.raises(DriverError) as refused:
        await home.start("one", "/bin/true", attempt=2, mounts=[Mount(str(tmp_path), "trap/inner")])
    assert refused.value.cause in ("resources", "working-directory")
    assert not there(str(outside), "inner")


async def test_an_absolute_target_needs_a_sandbox(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DriverError) as refused:
        await home.start("one", "/bin/true", mounts=[Mount(str(tmp_path), "/data")])
    assert (refused.value.cause, refused.value.permanent) == ("mount", True)


async def test_old_output_is_removed_while_the_run_goes_on(home: Home) -> None:
    policy = LogPolicy(max_file_bytes=128 << 10, max_files=5, max_age_ms=2000)
    await home.shell("one", "head -c 300000 /dev/zero; echo up; sleep 1000", log_policy=policy)
    await home.says("one", b"up")
    first = f"{home.directory}/logs/one/{file_name(1)}"
    assert there(first)
    await eventually(lambda: not there(first), "the removal of what is old")
    assert len(os.listdir(f"{home.directory}/logs/one")) >= 1


def test_the_file_that_is_being_written_stays_until_the_instance_has_ended(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "log"), max_bytes=1 << 20, max_files=3)
    log.max_age_ms = 1000
    log.write(1, b"text", linux.wall_ms(), 1)
    later = time.time_ns() // 1_000_000 + 10_000
    log.remove_old(later, live=True)
    assert there(str(tmp_path), "log", file_name(1))
    log.remove_old(later, live=False)
    assert not there(str(tmp_path), "log", file_name(1))
    log.write(1, b"more", linux.wall_ms(), 1)
    log.close()
