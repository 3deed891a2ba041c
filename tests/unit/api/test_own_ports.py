"""A Nexus that took any port takes the same at its next start."""

from pathlib import Path

import pytest

from omnitide.api.ports import PORTS_FILE, Ports


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
    assert listener.asked == [5000, 0]


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
