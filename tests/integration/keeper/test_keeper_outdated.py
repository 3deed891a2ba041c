"""A node proxy of a new release finds the keeper of an old one, installed elsewhere, and what runs under it."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from omnitide.drivers import keeper_upgrade
from omnitide.drivers.protocol import LogPolicy
from omnitide.node import keeper
from omnitide.node.keeper.launch import Talk, command, program
from omnitide.node.keeper.version import code_id

COUNT = 4000


class Release:
    """An installation of the keeper that differs from this one, in a place of its own."""

    def __init__(self, place: Path, broken: str = "") -> None:
        source = Path(str(keeper.__file__)).parent
        package = place / "omnitide" / "node" / "keeper"
        shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
        for above in (package.parent, package.parent.parent):
            (above / "__init__.py").touch()
        notes = package / "notes.py"
        notes.write_text(f"{notes.read_text()}\n# another release\n")
        if broken:
            # Of what it is to take over, this release understands nothing.
            (package / "upgrade.py").write_text(broken)
        self.program = program().replace(str(source.parents[2]), str(place))

    def serve(self, directory: str) -> str:
        """Start its keeper; returns its code id."""
        arguments = command(directory)
        arguments[arguments.index("-c") + 1] = self.program
        subprocess.run([*arguments, "--daemon"], check=True, env={}, start_new_session=True, timeout=60)
        with Talk(directory) as talk:
            return str(talk.about["code"])


@pytest.fixture
def old(tmp_path: Path) -> Release:
    return Release(tmp_path / "old")


async def test_it_becomes_the_new_one_while_instances_live_on_and_lose_no_output(
    homes, old, tmp_path, monkeypatch, is_running
):
    home = homes("keeper")
    before = await asyncio.to_thread(old.serve, home.directory)
    assert before != code_id()
    pid = home.keeper_pid
    with monkeypatch.context() as patch:
        patch.setattr(keeper_upgrade, "code_id", lambda: before)  # the proxy of the old release
        script = f"import os\nfor n in range({COUNT}):\n    os.write(1, b'%05d\\n' % n)\n"
        script += "import time\nwhile not os.path.exists('go'): time.sleep(0.01)\nos.write(1, b'end\\n')\nos._exit(7)\n"
        run = await home.python("web-1", script, log_policy=LogPolicy(max_file_bytes=1 << 20))
        assert (await home.driver.probe()).detail == ""
        assert home.ask("info")["upgrades"] == 0
    shutil.rmtree(tmp_path / "old")  # a package manager has replaced the old release

    new = home.another_driver()
    info = await new.probe()
    assert (info.version.partition("+")[2], info.detail) == (code_id(), "")
    assert home.keeper_pid == pid, "the same process"
    assert home.ask("info")["upgrades"] == 1
    assert (await home.find("web-1", driver=new)).handle == run.handle
    assert is_running(int(run.handle))
    home.tell("web-1")
    assert (await home.end_of("web-1", driver=new)).exit.code == 7
    assert await home.output("web-1") == b"".join(b"%05d\n" % n for n in range(COUNT)) + b"end\n"
    await home.driver.probe()
    assert home.ask("info")["upgrades"] == 1, "once: the older proxy does not put it back"


async def test_a_keeper_that_is_up_to_date_is_left_alone(homes):
    home = homes("keeper")
    assert (await home.driver.probe()).healthy
    assert (await home.another_driver().probe()).detail == ""
    assert home.ask("info")["upgrades"] == 0


async def test_a_release_that_does_not_understand_the_state_leaves_the_old_one_serving(
    homes, old, tmp_path, monkeypatch, is_running
):
    home = homes("keeper")
    before = await asyncio.to_thread(old.serve, home.directory)
    broken = Release(tmp_path / "broken", broken="raise SystemExit(9)\n")
    monkeypatch.setattr("omnitide.node.keeper.launch.program", lambda: broken.program)
    info = await home.driver.probe()
    assert info.healthy
    assert "the keeper stays an older program: the new program does not take over" in info.detail
    assert info.version.endswith(f"+{before}")
    run = await home.start("web-1", "/bin/sleep", "60")
    assert is_running(int(run.handle))
