"""Clients that do not behave: none of them costs the keeper, or anyone else, more than its own connection."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError, RunKey
from omnitide.node.keeper import client, protocol, service
from omnitide.node.keeper.launch import KeeperUnavailable, Talk, connect

HELLO = {"id": 1, "op": "hello", "protocol": 1}


def answer_of(home, *data: bytes) -> list[dict[str, object]]:
    """Send bytes on a fresh connection and read until the keeper hangs up."""
    with connect(home.directory) as connection:
        with contextlib.suppress(OSError):
            for part in data:
                connection.sendall(part)
        decoder = protocol.Decoder()
        with contextlib.suppress(ConnectionResetError):
            while received := connection.recv(1 << 16):
                decoder.feed(received)
    messages = []
    while (message := decoder.next()) is not None:
        messages.append(message)
    return messages


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(framed(b"not json"), id="not JSON"),
        pytest.param(framed(b"[1]"), id="not an object"),
        pytest.param(framed(b"[" * 100_000), id="deeply nested"),
        pytest.param(b"\xff\xff\xff\xff", id="too long"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="HTTP"),
        pytest.param(framed(b'{"id":1,"op":"list"}'), id="no hello"),
        pytest.param(framed(b'{"id":1,"op":"hello"}'), id="hello without protocol"),
        pytest.param(framed(b'{"id":1,"op":"hello","protocol":0}'), id="protocol of the past"),
        pytest.param(framed(b'{"id":"x","op":"hello","protocol":1}'), id="id that is no number"),
        pytest.param(protocol.encode(HELLO) + framed(b'{"op":"list"}'), id="no id"),
        pytest.param(protocol.encode(HELLO) + framed(b'{"id":2,"op":7}'), id="op that is no string"),
    ],
)
def test_who_does_not_speak_the_protocol_is_told_so_and_disconnected(sync_home, data):
    messages = answer_of(sync_home, data)
    assert messages[-1]["error"]["cause"] == "protocol"
    assert sync_home.ask("info")


def test_a_newer_client_is_answered_in_the_protocol_that_both_speak(sync_home):
    with connect(sync_home.directory) as connection:
        connection.sendall(protocol.encode({**HELLO, "protocol": 99, "future": {"field": 1}}))
        decoder = protocol.Decoder()
        while (message := decoder.next()) is None:
            decoder.feed(connection.recv(1 << 16))
    assert message["ok"]["protocol"] == protocol.VERSION


@pytest.mark.parametrize(
    "request_fields",
    [
        {"op": "no-such-operation"},
        {"op": "start"},
        {"op": "start", "launch": 7},
        {"op": "start", "launch": {"instance": 7, "attempt": 1}},
        {"op": "start", "launch": {"instance": "a", "attempt": 0, "command": ["x"]}},
        {"op": "start", "launch": {"instance": "a", "attempt": True, "command": ["x"]}},
        {"op": "start", "launch": {"instance": "a", "attempt": 1, "command": "x"}},
        {"op": "start", "launch": {"instance": "a", "attempt": 1, "command": ["x"], "environment": ["A=1"]}},
        {"op": "start", "launch": {"instance": "a", "attempt": 1, "command": ["x"], "environment": {"A": 1}}},
        {"op": "start", "launch": {"instance": "a", "attempt": 1, "command": ["x"], "stop_signal": 99}},
        {"op": "start", "launch": {"instance": "a", "attempt": 1, "command": ["x"], "labels": {"a": "x" * 20_000}}},
        {"op": "start", "launch": {"instance": "a", "attempt": 1, "command": ["x"], "limits": {"pids": -1}}},
        {"op": "start", "launch": {"instance": "a", "attempt": 1, "command": ["x"], "logs": {"max_files": 0}}},
        {"op": "start", "launch": {"instance": "a", "attempt": 1, "command": ["x"], "identity": {"uid": -1, "gid": 0}}},
        {"op": "stop", "instance": "a"},
        {"op": "stop", "instance": "a", "attempt": 1, "grace_ms": "soon"},
        {"op": "signal", "instance": "a", "attempt": 1, "signal": 0},
        {"op": "fence", "keys": [["a"]], "within_ms": 1},
        {"op": "fence", "keys": [["a", "b"]], "within_ms": 1},
        {"op": "fence", "keys": [], "within_ms": -1},
        {"op": "remove-instance", "instance": "../../etc"},
        {"op": "list", "instance": 3},
        {"op": "follow", "instance": "a", "sequence": -1},
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_the_connection_lives(sync_home, request_fields):
    with Talk(sync_home.directory) as talk:
        fields = dict(request_fields)
        with pytest.raises(protocol.Refused) as caught:
            talk.ask(fields.pop("op"), **fields)
        assert caught.value.cause in ("invalid", "unsupported", "not-running")
        assert talk.ask("info")
        assert talk.ask("list")["runs"] == []


async def test_a_client_that_does_not_read_is_disconnected_and_holds_up_nobody(one_home):
    """Its answers pile up to the bound and no further."""
    pid = one_home.keeper_pid
    before = resident_kib(pid)
    labels = {"filler": "x" * 16_000}
    for number in range(60):
        await one_home.shell(f"job-{number}", "exit 0", labels=labels)
    with connect(one_home.directory) as connection:
        connection.sendall(protocol.encode(HELLO))
        connection.settimeout(20)
        request = b"".join(protocol.encode({"id": n, "op": "list"}) for n in range(2, 200))
        with pytest.raises(OSError, match=r"Broken pipe|reset|timed out") as caught:
            while True:
                await asyncio.to_thread(connection.sendall, request)
        assert not isinstance(caught.value, TimeoutError)
    assert resident_kib(pid) - before < (client.MAX_UNSENT >> 10) + 12_000
    assert (await one_home.run("web-1", "exit 5")).exit.code == 5


async def test_a_flood_of_requests_does_not_hold_up_the_others(one_home):
    stop = asyncio.Event()

    async def flood() -> int:
        reader, writer = await asyncio.open_unix_connection(f"{one_home.directory}/keeper.sock")
        writer.write(protocol.encode(HELLO))
        count = 1
        while not stop.is_set():
            count += 100
            writer.write(b"".join(protocol.encode({"id": n, "op": "info"}) for n in range(100)))
            await writer.drain()
            await reader.read(1 << 20)
        writer.close()
        return count

    floods = [asyncio.create_task(flood()) for _ in range(3)]
    for number in range(10):
        assert (await asyncio.wait_for(one_home.run(f"job-{number}", "exit 5"), 30)).exit.code == 5
    stop.set()
    assert all(count > 100 for count in await asyncio.gather(*floods))


async def test_a_watcher_that_is_too_slow_is_told_to_start_over(one_home, monkeypatch):
    monkeypatch.setattr("omnitide.drivers.process_watch.MAX_UNREAD", 5)
    watch = one_home.driver.watch()
    for number in range(5):
        await one_home.run(f"job-{number}", "exit 0")
    seen = 0
    with pytest.raises(DriverError) as caught:
        async with asyncio.timeout(30):
            async for _ in watch:
                seen += 1
    assert seen == 5
    assert caught.value.cause == "slow-watch"
    assert len(await one_home.driver.recover()) == 5


async def test_more_connections_than_the_bound_are_turned_away(one_home, wait_until):
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(service.MAX_CLIENTS + 5):
            stack.enter_context(connect(one_home.directory))
        assert (await one_home.run("web-1", "exit 0")).exit.code == 0  # who was there first goes on
        with connect(one_home.directory) as late:
            assert await asyncio.to_thread(late.recv, 1) == b""

    def answered() -> bool:
        with contextlib.suppress(KeeperUnavailable):  # until it has seen that the others have gone
            return bool(one_home.ask("info"))
        return False

    await wait_until(answered, "an answer")


@pytest.mark.root
async def test_another_user_is_turned_away_even_where_the_socket_is_open_to_it(one_home):
    for path in (one_home.directory, *map(str, Path(one_home.directory).parents)):
        if path not in ("/", "/tmp"):
            os.chmod(path, os.stat(path).st_mode | 0o011)
    os.chmod(f"{one_home.directory}/keeper.sock", 0o666)
    script = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "s.sendall(bytes.fromhex(sys.argv[2])); print(s.recv(100))\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-c", script, f"{one_home.directory}/keeper.sock", protocol.encode(HELLO).hex()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout in ("", "b''\n")
    assert done.stdout or "reset" in done.stderr or "Broken pipe" in done.stderr, done.stderr


async def test_a_client_that_disconnects_in_the_middle_of_a_start_leaves_a_run(one_home, wait_until):
    launch = {"instance": "web-1", "attempt": 1, "command": ["/bin/sh", "-c", "exit 6"], "environment": {}}
    start = protocol.encode({"id": 2, "op": "start", "launch": launch})
    for request in (start[:50], start):
        with connect(one_home.directory) as connection:
            connection.sendall(protocol.encode(HELLO))
            assert connection.recv(1 << 16)
            connection.sendall(request)
    await wait_until(lambda: one_home.ask("list")["runs"], "the run")
    assert (await one_home.end_of("web-1")).exit.code == 6


async def test_a_list_of_many_runs_comes_in_pages(one_home):
    labels = {"filler": "x" * 15_000}
    names = [f"job-{number:03d}" for number in range(150)]
    await asyncio.gather(*(one_home.shell(name, "exit 0", labels=labels) for name in names))
    assert [run.key for run in await one_home.driver.recover()] == [RunKey(name, 1) for name in names]
    page = one_home.ask("list")
    assert page["more"]
    assert len(json.dumps(page)) < 2 << 20


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def test_a_socket_that_is_no_keepers_is_not_believed(tmp_path):
    """Whoever listens there must be this user (or root): what a start sends may be secret."""
    from omnitide.node.keeper import launch

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "keeper.sock"))
    listener.listen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "peer_uid", lambda _: 12345)
        with pytest.raises(launch.KeeperUnavailable, match="user 12345"):
            connect(str(tmp_path))
    listener.close()
