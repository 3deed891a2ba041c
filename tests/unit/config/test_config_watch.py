"""Reloading: what is live changes at once, what is not waits for a restart, what is wrong changes nothing."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from omnitide.config import ConfigError, Settings, load
from omnitide.config.fields import catalogue
from omnitide.config.settings import Section
from omnitide.config.watch import ConfigWatcher

DEADLINE_S = 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "omnitide.toml"
    path.write_text("[lease]\nkeepalive_ms = 1000\n")
    return path


@pytest.fixture
def watcher(file: Path) -> ConfigWatcher:
    return ConfigWatcher(load(config=file, environ={}), look_every_s=0.005)


def write(file: Path, text: str) -> None:
    file.write_text(text)


def remove(file: Path) -> None:
    file.unlink()


class Changes:
    """Waits for what the watcher tells."""

    def __init__(self, watcher: ConfigWatcher) -> None:
        self.seen: asyncio.Queue[tuple[Settings, Settings]] = asyncio.Queue()
        watcher.subscribe(lambda old, new: self.seen.put_nowait((old, new)))

    async def next(self) -> tuple[Settings, Settings]:
        return await asyncio.wait_for(self.seen.get(), DEADLINE_S)


@pytest.fixture
async def running(watcher: ConfigWatcher) -> AsyncIterator[ConfigWatcher]:
    task = asyncio.create_task(watcher.run())
    await asyncio.sleep(0)  # one turn: the signal handler stands before the first wait
    yield watcher
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_changed_file_is_taken_over_and_told(running: ConfigWatcher, file: Path) -> None:
    changes = Changes(running)
    write(file, "[lease]\nkeepalive_ms = 2000\n")
    old, new = await changes.next()
    assert (old.lease.keepalive_ms, new.lease.keepalive_ms) == (1000, 2000)
    assert running.settings is new


async def test_a_replaced_file_and_one_that_goes_and_comes_are_seen(running: ConfigWatcher, file: Path) -> None:
    changes = Changes(running)
    fresh = file.with_suffix(".new")
    write(fresh, "[lease]\nkeepalive_ms = 3000\n")
    os.replace(fresh, file)
    assert (await changes.next())[1].lease.keepalive_ms == 3000
    remove(file)
    write(file, "[lease]\nkeepalive_ms = 4000\n")
    assert (await changes.next())[1].lease.keepalive_ms == 4000


async def test_a_file_that_comes_to_be_is_read(tmp_path: Path) -> None:
    watcher = ConfigWatcher(load(environ={"HOME": str(tmp_path)}), look_every_s=0.005)
    changes = Changes(watcher)
    task = asyncio.create_task(watcher.run())
    file = tmp_path / ".config" / "omnitide" / "config.toml"
    os.makedirs(file.parent)
    write(file, '[log]\nlevel = "debug"\n')
    assert (await changes.next())[1].log.level == "debug"
    remove(file)
    assert (await changes.next())[1].log.level == "info"
    task.cancel()


async def test_a_file_that_is_still_being_written_is_not_read(running: ConfigWatcher, file: Path) -> None:
    """The writer has its turn between any two looks, so that no two looks see the same file until it is done."""
    changes = Changes(running)
    deadline = asyncio.get_running_loop().time() + 0.1
    length = 0
    while asyncio.get_running_loop().time() < deadline:
        length += 1
        write(file, f"[lease]\nkeepalive_ms = 7000\n#{'x' * length}")
        await asyncio.sleep(0)
        assert running.settings.lease.keepalive_ms == 1000
    assert (await changes.next())[1].lease.keepalive_ms == 7000


async def test_a_change_between_loading_and_watching_is_not_missed(file: Path) -> None:
    loaded = load(config=file, environ={})
    write(file, "[lease]\nkeepalive_ms = 5000\n")
    watcher = ConfigWatcher(loaded, look_every_s=0.005)
    changes = Changes(watcher)
    task = asyncio.create_task(watcher.run())
    assert (await changes.next())[1].lease.keepalive_ms == 5000
    task.cancel()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this platform")
async def test_sighup_reloads_at_once(file: Path) -> None:
    watcher = ConfigWatcher(load(config=file, environ={}), look_every_s=3600)
    changes = Changes(watcher)
    before = signal.getsignal(signal.SIGHUP)
    task = asyncio.create_task(watcher.run())
    await asyncio.sleep(0)
    write(file, "[lease]\nkeepalive_ms = 2500\n")
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await changes.next())[1].lease.keepalive_ms == 2500
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert signal.getsignal(signal.SIGHUP) == before


@pytest.mark.parametrize("text", ["[lease]\nkeepalive_ms = 5\n", "[lease\n", "[nexus]\napi_port = 7401\n"])
def test_a_bad_file_is_refused_said_and_changes_nothing(
    watcher: ConfigWatcher, file: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Settings] = []
    watcher.subscribe(lambda _, new: told.append(new))
    before = watcher.settings
    write(file, text)
    outcome = watcher.reload("test")
    assert outcome.problems
    assert outcome.changed == outcome.restart == ()
    assert watcher.settings is before
    assert told == []
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "configuration refused, the old one stays")
    ]
    with pytest.raises(ConfigError):
        load(config=file, environ={})
    write(file, "[lease]\nkeepalive_ms = 2000\n")
    assert watcher.reload("test").changed == ("lease.keepalive_ms",)


async def test_a_bad_file_is_refused_while_watching_and_the_next_good_one_taken(
    running: ConfigWatcher, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes = Changes(running)
    write(file, "[lease]\nkeepalive_ms = 'soon'\n")
    await until(lambda: caplog.records)
    assert running.settings.lease.keepalive_ms == 1000
    write(file, "[lease]\nkeepalive_ms = 2000\n")
    assert (await changes.next())[1].lease.keepalive_ms == 2000
    refusals = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(refusals) == 1, "a refused file is not tried again until it changes"


def test_what_is_not_live_is_kept_back_and_reported_once(
    watcher: ConfigWatcher, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(file, "[lease]\nkeepalive_ms = 2000\n[nexus]\napi_port = 9000\n")
    outcome = watcher.reload("test")
    assert outcome.changed == ("lease.keepalive_ms",)
    assert outcome.restart == watcher.waiting_for_restart == ("nexus.api_port",)
    assert watcher.settings.nexus.api_port == 7400
    assert watcher.settings.lease.keepalive_ms == 2000
    watcher.reload("test")
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    write(file, "[lease]\nkeepalive_ms = 2000\n")
    watcher.reload("test")
    assert watcher.waiting_for_restart == ()


def test_flags_and_environment_stay_the_stronger_ones(file: Path) -> None:
    watcher = ConfigWatcher(load({"lease.keepalive_ms": 700}, config=file, environ={"OMNITIDE_LOG_LEVEL": "error"}))
    write(file, '[lease]\nkeepalive_ms = 2000\nlost_after_ms = 9000\n[log]\nlevel = "debug"\n')
    assert watcher.reload("test").changed == ("lease.lost_after_ms",)
    assert (watcher.settings.lease.keepalive_ms, watcher.settings.log.level) == (700, "error")


def test_a_listener_that_fails_or_leaves_does_not_trouble_the_others(watcher: ConfigWatcher, file: Path) -> None:
    told: list[str] = []

    def fails(old: Settings, new: Settings) -> None:
        raise RuntimeError("cannot follow")

    def leaves(old: Settings, new: Settings) -> None:
        told.append("leaves")
        leave()

    watcher.subscribe(fails)
    leave = watcher.subscribe(leaves)
    watcher.subscribe(lambda old, new: told.append("stays"))
    for value in (2000, 3000):
        write(file, f"[lease]\nkeepalive_ms = {value}\n")
        watcher.reload("test")
    assert told == ["leaves", "stays", "stays"]


def test_an_unchanged_configuration_tells_nobody(watcher: ConfigWatcher) -> None:
    told: list[Settings] = []
    watcher.subscribe(lambda _, new: told.append(new))
    assert watcher.reload("test") == ((), (), ())
    assert told == []


def test_a_section_checked_as_a_whole_is_live_as_a_whole() -> None:
    """Otherwise a reload could put live values beside old ones that do not go with them."""
    for section in ("nexus", "node", "lease", "log", "limits", "snapshots", "client"):
        checked = "__post_init__" in vars(type(getattr(Settings(), section)))
        assert issubclass(type(getattr(Settings(), section)), Section)
        if checked:
            assert len({field.live for field in catalogue().values() if field.section == section}) == 1


def test_what_the_design_calls_reloadable_is() -> None:
    live = {key for key, field in catalogue().items() if field.live}
    assert "log.level" in live
    assert {key for key in catalogue() if key.startswith(("lease.", "limits."))} <= live
    assert not any(key.endswith(("_port", "_dir")) for key in live)
