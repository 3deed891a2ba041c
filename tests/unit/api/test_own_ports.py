"""A Nexus that took any port takes the same at its next start."""

import errno
import os
import socket
from pathlib import Path

import pytest

from omnitide.api.ports import PORTS_FILE, TRIES, Ports
from omnitide.config.ports import PortUnavailable


class Listener:
    def __init__(self, *busy: int) -> None:
        self.busy = busy
        self.asked: list[int] = []

    async def __call__(self, port: int) -> int:
        self.asked.append(port)
        if port in self.busy:
            raise OSError("in use")
        return port or 40_000 + len(self.asked)


async def test_the_same_port_again(tmp_path: Path) -> None:
    first = Ports(tmp_path)
    got = await first.listen("api", 0, Listener())
    first.remember(api=got)
    assert (tmp_path / PORTS_FILE).stat().st_mode & 0o777 == 0o600
    assert await Ports(tmp_path).listen("api", 0, Listener()) == got
    listener = Listener()
    await Ports(tmp_path).listen("node", 0, listener)
    assert listener.asked == [0], "of another listener nothing is known"


async def test_one_that_is_taken_meanwhile_is_let_go(tmp_path: Path) -> None:
    Ports(tmp_path).remember(api=5000)
    listener = Listener(5000)
    assert await Ports(tmp_path).listen("api", 0, listener) not in (0, 5000)
    assert listener.asked == [5000] * TRIES + [0]


async def test_one_that_is_taken_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """By a connection of somebody else's, say, as it is a number that the system gives to those too."""
    Ports(tmp_path).remember(api=5000)
    listener = Listener(5000)
    asked: list[int] = []

    async def start(port: int) -> int:
        asked.append(port)
        if len(asked) == 3:
            listener.busy = ()
        return await listener(port)

    assert await Ports(tmp_path).listen("api", 0, start) == 5000
    assert asked == [5000] * 3


async def test_a_port_that_is_configured_is_the_only_one(tmp_path: Path) -> None:
    Ports(tmp_path).remember(api=5000)
    listener = Listener(6000)
    with pytest.raises(OSError, match="in use"):
        await Ports(tmp_path).listen("api", 6000, listener)
    assert listener.asked == [6000]


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"api": "x"}', '{"api": 70000}', '{"api": -1}'])
async def test_a_file_that_makes_no_sense_is_no_file(tmp_path: Path, text: str) -> None:
    (tmp_path / PORTS_FILE).write_text(text)
    listener = Listener()
    await Ports(tmp_path).listen("api", 0, listener)
    assert listener.asked == [0]


def test_one_that_is_taken_is_named_with_who_has_it_and_what_would_do(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = Ports(tmp_path)
        with pytest.raises(PortUnavailable) as caught:
            ports.check(api=0, node=port)
    assert (caught.value.name, caught.value.port, caught.value.errno) == ("node", port, errno.EADDRINUSE)
    text = str(caught.value)
    assert f"127.0.0.1:{port} is taken by process {os.getpid()}" in text
    assert "--node-port" in text
    assert "nexus.node_port" in text
    ports.check(api=0, node=port)


async def test_what_gave_no_reason_is_asked_for_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortUnavailable, match="is taken"):
            await Ports(tmp_path).listen("grpc", port, Listener(port))


def test_an_address_that_is_not_of_this_machine_is_no_taken_port(tmp_path: Path) -> None:
    with pytest.raises(PortUnavailable, match=r"192\.0\.2\.1:5000 cannot be listened on"):
        Ports(tmp_path, "192.0.2.1").check(api=5000)
