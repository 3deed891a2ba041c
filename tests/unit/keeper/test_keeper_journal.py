"""The journal: what was recorded is known again, however the file ends."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.node.keeper import journal as journals
from omnitide.node.keeper.ending import Exit
from omnitide.node.keeper.journal import Journal, read
from omnitide.node.keeper.run import Run

OVER = Exit(code=7, signal=None, reason="exited", message="exited with code 7", out_of_memory=False, ended_at_ms=5)


def run(instance: str, attempt: int = 1) -> Run:
    made = Run(instance=instance, attempt=attempt, name=instance, labels={"generation": "3", "note": "ü\n"})
    made.pid, made.started_ticks, made.started_at_ms = 4711, 12, 99
    made.unenforced, made.groups = ("memory",), {"unified": "/sys/fs/cgroup/x"}
    return made


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "runs.journal")


def test_starts_ends_and_forgettings(path):
    journal = Journal(path, "boot-1")
    for name in ("a", "b", "c"):
        journal.started(run(name))
    journal.ended(run("a"), OVER)
    journal.ended(run("c"), OVER)
    journal.forgotten(("c", 1))
    journal.close()
    found = read(path)
    assert list(found) == [("a", 1), ("b", 1)]
    assert found["a", 1].exit == OVER
    known = found["b", 1]
    assert (known.exit, known.pid, known.started_ticks, known.boot) == (None, 4711, 12, "boot-1")
    assert (known.labels, known.unenforced, known.groups) == (run("b").labels, ("memory",), run("b").groups)


def test_a_journal_that_is_not_there_tells_of_nothing(path):
    assert read(path) == {}


@given(cut=st.integers(0, 10_000))
def test_a_journal_cut_anywhere_tells_what_was_whole(tmp_path_factory, cut):
    path = str(tmp_path_factory.mktemp("journal") / "runs.journal")
    journal = Journal(path, "boot-1")
    for name in ("a", "b", "c"):
        journal.started(run(name))
        journal.ended(run(name), OVER)
    journal.close()
    data = Path(path).read_bytes()
    cut %= len(data) + 1
    Path(path).write_bytes(data[:cut])
    whole = data[:cut].count(b"\n") + (cut < len(data) and data[cut : cut + 1] == b"\n")
    found = read(path)
    assert len(found) == (whole + 1) // 2
    assert sum(known.exit is not None for known in found.values()) == whole // 2


@pytest.mark.parametrize(
    "line", [b"[]", b"7", b"{}", b'{"run":{}}', b'{"run":7}', b'{"exit":["a"]}', b"\xff\xfe", b'{"forget":["a",true]}']
)
def test_a_damaged_line_does_not_hide_the_others(path, line, capfd):
    journal = Journal(path, "boot-1")
    journal.started(run("a"))
    with Path(path).open("ab") as file:
        file.write(line + b"\n")
    journal = Journal(path, "boot-1")
    journal.started(run("b"))
    assert set(read(path)) - {("a", 1), ("b", 1)} == set()
    assert ("b", 1) in read(path)


def test_it_is_written_anew_when_most_of_it_is_forgotten(path, monkeypatch):
    monkeypatch.setattr(journals, "_LEAST_BYTES", 10_000)
    journal = Journal(path, "boot-2")
    old = run("old")
    old.boot, old.exit = "boot-1", OVER
    kept = [old, run("new")]
    for each in kept:
        journal.started(each)
    number = 0
    while not journal.overgrown:
        number += 1
        journal.started(run(f"job-{number}"))
        journal.forgotten((f"job-{number}", 1))
    journal.rewrite(kept)
    assert Path(path).stat().st_size < 2000
    assert not journal.overgrown
    found = read(path)
    assert list(found) == [("old", 1), ("new", 1)]
    assert (found["old", 1].boot, found["new", 1].boot) == ("boot-1", "boot-2")
    assert found["old", 1].exit == OVER
    journal.started(run("later"))
    assert ("later", 1) in read(path)


def test_a_line_that_does_not_fit_is_taken_back(path):
    import resource
    import signal

    journal = Journal(path, "boot-1")
    journal.started(run("a"))
    size = Path(path).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
        with pytest.raises(OSError, match=r"room|large"):
            journal.started(run("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Path(path).stat().st_size == size
    journal.started(run("c"))
    assert set(read(path)) == {("a", 1), ("c", 1)}


def test_no_environment_is_recorded(path):
    """A run has none to record; this keeps it so."""
    journal = Journal(path, "boot-1")
    journal.started(run("a"))
    fields = json.loads(Path(path).read_text())["run"]
    assert set(fields) == {
        "instance",
        "attempt",
        "kind",
        "name",
        "labels",
        "pid",
        "started_ticks",
        "boot",
        "started_at_ms",
        "unenforced",
        "groups",
    }
