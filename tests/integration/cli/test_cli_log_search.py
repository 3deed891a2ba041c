"""`logs` of several names, over a time, by a pattern: one stream in order, and a word for what is missing."""

import datetime as dt
import json
import signal

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import START_MS, MemoryRuntime

from omnitide.cli.durations import moment


def deploy(fabric: MemoryFabric, *names: str) -> dict[str, str]:
    """Ids of their instances, one each."""
    for name in names:
        path = fabric.folder / f"{name}.toml"
        path.write_text(f'name = "{name}"\ncommand = ["x"]\n')
        fabric.cli("deploy", str(path))
    return fabric.call(lambda runtime: {one.name: one.id for one in runtime.state.instances.values()})


@pytest.fixture
def two(fabric: MemoryFabric) -> MemoryFabric:
    """web-1.1 has written at seconds 1 and 3, db-1.1 at 2."""
    ids = deploy(fabric, "web", "db")

    def write(runtime: MemoryRuntime) -> None:
        for name, second, text in (("web-1.1", 1, "one"), ("db-1.1", 2, "two"), ("web-1.1", 3, "Three")):
            runtime.writes(ids[name]).write(f"{text}\n", at_ms=START_MS + second * 1000)

    fabric.call(write)
    return fabric


def test_several_agents_are_one_stream_in_order(two: MemoryFabric) -> None:
    expected = ["web-1.1 | one", "db-1.1 | two", "web-1.1 | Three"]
    # Names are set one below the other from the first on that is seen.
    assert [" ".join(line.split()) for line in two.cli("logs", "web", "db").stdout.splitlines()] == expected
    assert two.cli("logs", "web-1.1", "db", "--tail", "2", "--no-prefix").stdout == "two\nThree\n"
    node = two.call(lambda runtime: runtime.state.nodes[next(iter(runtime.state.instances.values())).node].name)
    assert "one\n" in two.cli("logs", f"node:{node}", "--no-prefix").stdout
    first = json.loads(two.cli("logs", "web", "db", "-o", "json").stdout.splitlines()[0])
    assert (first["name"], first["at_ms"], first["text"]) == ("web-1.1", START_MS + 1000, "one")


def test_lines_are_searched_by_pattern_and_time(two: MemoryFabric) -> None:
    assert two.cli("logs", "web", "--grep", "ne", "--no-prefix").stdout == "one\n"
    assert two.cli("logs", "web", "db", "-g", "^t", "-E", "-i", "--no-prefix").stdout == "two\nThree\n"
    nothing = two.cli("logs", "web", "--grep", "^t")
    assert (nothing.stdout, nothing.stderr) == ("", "  no line matches\n")
    assert two.cli("-q", "logs", "web", "--grep", "^t").stderr == ""
    assert two.cli("logs", "web", "--grep", "one").stderr == ""
    since, until = (dt.datetime.fromtimestamp(START_MS / 1000 + second, dt.UTC).isoformat() for second in (1.5, 2.5))
    assert two.cli("logs", "web", "db", "--since", since, "--until", until, "--no-prefix").stdout == "two\n"
    assert "no regular expression" in two.cli("logs", "web", "--grep", "(", "-E", code=2).stderr
    assert "about --grep" in two.cli("logs", "web", "-E", code=2).stderr


def test_a_node_that_is_away_is_said_and_is_no_success(two: MemoryFabric) -> None:
    def silence(runtime: MemoryRuntime) -> None:
        (web,) = (one for one in runtime.state.instances.values() if one.name == "web-1.1")
        runtime.live.pop(web.node)

    two.call(silence)
    ran = two.cli("logs", "web", "--grep", "one", code=5)
    assert "lines of web-1.1 are missing: node" in ran.stderr


def test_several_are_followed_and_ctrl_c_ends_it(two: MemoryFabric) -> None:
    with two.process("logs", "-f", "web", "db", "--tail", "1") as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "web-1.1 | Three\n"

        def write(runtime: MemoryRuntime) -> None:
            (db,) = (one.id for one in runtime.state.instances.values() if one.name == "db-1.1")
            runtime.writes(db).write("live\n", at_ms=START_MS + 9000)

        two.call(write)
        assert following.stdout.readline() == "db-1.1  | live\n"
        following.send_signal(signal.SIGINT)
        _, err = following.communicate(timeout=30)
    assert following.returncode == 130
    assert "Traceback" not in err


def test_a_time_of_the_day_is_the_last_that_there_was() -> None:
    now = dt.datetime(2026, 11, 26, 14, 4)  # noqa: DTZ001 - a clock on the wall has none
    assert moment("14:03", "--since", now).startswith("2026-11-26T14:03:00")
    assert moment("14:05", "--since", now).startswith("2026-11-25T14:05:00")
    assert moment("2026-11-01 08:00", "--since", now).startswith("2026-11-01T08:00:00")
    assert dt.datetime.fromisoformat(moment("08:00", "--since", now)).tzinfo is not None
    assert moment("10m", "--since", now) == "600000ms"
