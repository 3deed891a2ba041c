"""What a Nexus keeps in its data directory: the owner's alone, and one Nexus's at a time."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omnitide.config.settings import Settings
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.opening import DataUnusable, open_nexus
from omnitide.security.data_lock import DataInUse
from omnitide.store.protocol import LogCorrupt, LogLocked

DEADLINE_S = 60.0


async def start(data: Path) -> asyncio.subprocess.Process:
    """A Nexus process, under no umask at all."""
    command = ["--data", str(data), "--api-port", "0", "--node-port", "0", "--grpc-port", "0"]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "omnitide.api", *command, stderr=asyncio.subprocess.PIPE, umask=0
    )


@pytest.fixture
async def nexus(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """One that is ready, on `nexus` below the test's directory."""
    process = await start(tmp_path / "nexus")
    ready = tmp_path / "nexus" / "nexus.json"
    async with asyncio.timeout(DEADLINE_S):
        while not ready.exists():
            assert process.returncode is None
            await asyncio.sleep(0.02)
    yield process
    process.kill()
    await process.communicate()


async def test_all_that_it_keeps_is_the_owners_alone(tmp_path: Path, nexus: asyncio.subprocess.Process) -> None:
    data = tmp_path / "nexus"
    modes = {str(path): path.lstat().st_mode & 0o777 for path in (data, *data.rglob("*"))}
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
    names = {path.relative_to(data).parts[0] for path in data.iterdir()}
    assert {"log", "keys", "admin-token", "nexus.json", "nexus.lock"} <= names
    assert [path for path in modes if path.endswith((".sst", ".log"))], "RocksDB's files are among them"


async def test_the_second_is_told_who_is_first(tmp_path: Path, nexus: asyncio.subprocess.Process) -> None:
    second = await start(tmp_path / "nexus")
    _, errors = await asyncio.wait_for(second.communicate(), DEADLINE_S)
    assert second.returncode not in (0, None)
    assert f"is in use by the Nexus with process id {nexus.pid}; stop it first".encode() in errors
    assert json.loads((tmp_path / "nexus" / "nexus.json").read_text())["pid"] == nexus.pid
    with pytest.raises(DataInUse):
        async with open_nexus(tmp_path / "nexus", SystemClock(), Settings, {}):
            pass


def test_the_refusal_of_a_damaged_log_says_what_can_be_done() -> None:
    told = str(DataUnusable(LogCorrupt(7, "a checksum does not fit")))
    assert told.startswith("log damaged at position 7: a checksum does not fit; nothing was changed: put a copy")
    assert str(DataUnusable(LogLocked("held"))) == "held", "what passes by itself needs no copy"


async def test_a_damaged_log_is_said_to_be_so(tmp_path: Path) -> None:
    data = tmp_path / "nexus"
    async with open_nexus(data, SystemClock(), Settings, {}) as nexus:
        assert nexus.committed().fabric_id
    for manifest in (data / "log").rglob("MANIFEST-*"):
        manifest.write_bytes(b"nothing that RocksDB would write")
    with pytest.raises(DataUnusable) as caught:
        async with open_nexus(data, SystemClock(), Settings, {}):
            pass
    assert caught.value.why in ("damaged", "trouble")
    async with asyncio.timeout(DEADLINE_S):
        # The lock is free again: who repairs it can begin.
        with pytest.raises(DataUnusable):
            async with open_nexus(data, SystemClock(), Settings, {}):
                pass
