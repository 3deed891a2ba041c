"""The outbox: what a node remembers, whatever happens to its process and its disk."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from omnitide.node.instructions import ForgetRecord, SaveDesired, SaveRecord, SendReport, SetTimer
from omnitide.node.outbox import Outbox, OutboxLimits, OutboxUnusable, memory_connection, open_outbox
from omnitide.node.records import Assignment, Ending, Goal, Phase, Record, Report


def report(instance: str, attempt: int = 1, phase: Phase = Phase.RUNNING, message: str = "") -> Report:
    ending = Ending(code=1, message=message) if message else None
    return Report(instance=instance, generation=1, attempt=attempt, phase=phase, at_ms=5, ending=ending)


def send(*reports: Report) -> list[SendReport]:
    return [SendReport(report=r) for r in reports]


def ids(prefix: str = "id") -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{prefix}-{next(numbers)}"


def opened(path: Path, boot_id: str = "boot", limits: OutboxLimits | None = None, now_ms: int = 77) -> Outbox:
    new_id = ids(f"{path.stem}-{os.urandom(4).hex()}")
    return open_outbox(path, boot_id=boot_id, new_id=new_id, now_ms=now_ms, limits=limits or OutboxLimits())


def in_memory(limits: OutboxLimits) -> Outbox:
    return Outbox(memory_connection(), boot_id="boot", new_id=ids(), limits=limits)


def sequences(outbox: Outbox, after: int = 0) -> list[tuple[int, str, int]]:
    """Everything pending, batch by batch."""
    found: list[tuple[int, str, int]] = []
    while batch := outbox.pending(after, 1000, 1 << 20):
        found += [(p.sequence, p.report.instance, p.report.attempt) for p in batch]
        after = batch[-1].sequence
    return found


ASSIGNMENT = Assignment(
    instance="a",
    name="a-0.1",
    namespace="default",
    kind="agent",
    workload="a",
    version=1,
    slot=0,
    generation=1,
    goal=Goal.RUN,
    spec_key="k",
    ports={"http": 80},
)


def test_reports_get_growing_numbers_and_go_when_acknowledged() -> None:
    outbox = in_memory(OutboxLimits())
    outbox.commit(send(report("a"), report("b"), report("a", 2)))
    assert sequences(outbox) == [(1, "a", 1), (2, "b", 1), (3, "a", 2)]
    outbox.acknowledge(2)
    assert sequences(outbox) == [(3, "a", 2)]
    outbox.acknowledge(3)
    outbox.commit(send(report("c")))
    assert sequences(outbox) == [(4, "c", 1)], "a number is never given twice"
    assert outbox.pending_bytes > 0
    outbox.acknowledge(4)
    assert (outbox.pending_count, outbox.pending_bytes) == (0, 0)


def test_a_batch_has_no_gap_and_keeps_to_its_bounds() -> None:
    outbox = in_memory(OutboxLimits(reports=10, bytes=1 << 20))
    outbox.commit(send(*(report(f"i{n}", message="x" * 100) for n in range(8))))
    assert [p.sequence for p in outbox.pending(0, 3, 1 << 20)] == [1, 2, 3]
    size = outbox.pending_bytes // 8
    assert [p.sequence for p in outbox.pending(3, 100, 2 * size + 50)] == [4, 5]
    assert [p.sequence for p in outbox.pending(3, 100, 1)] == [4], "at least one"


def test_a_batch_ends_before_a_report_that_was_dropped() -> None:
    """Nexus counts on: the ones behind a gap would be taken for those in it."""
    outbox = in_memory(OutboxLimits(reports=10, bytes=1 << 20))
    outbox.commit(send(report("steady"), *(report("crashing", n) for n in range(1, 8)), report("quiet")))
    outbox.commit(send(report("crashing", 8), report("crashing", 9)))
    assert [p.sequence for p in outbox.pending(0, 20, 1 << 20)] == [1]
    assert [p.sequence for p in outbox.pending(1, 3, 1 << 20)] == [4, 5, 6]


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = opened(path)
    record = Record(report=report("a", 3, Phase.ENDED), driver="process", restarts=2, started_at_ms=9, removed_at_ms=1)
    outbox.commit(
        [
            SaveDesired(log_id="log", revision=9, assignments=(ASSIGNMENT,), specs={"k": b"{}"}),
            SaveRecord(record=record),
            SetTimer(key=("restart", "a"), delay_ms=5),
            *send(report("a", 3)),
        ]
    )
    outbox.save_endpoints(["h1:1", "h2:2"])
    identity = outbox.id
    outbox.close()
    again = opened(path)
    assert again.id == identity
    assert again.endpoints == ("h1:1", "h2:2")
    restored = again.restored(123)
    assert (restored.at_ms, restored.log_id, restored.revision) == (123, "log", 9)
    assert restored.assignments == (ASSIGNMENT,)
    assert restored.specs == {"k": b"{}"}
    assert restored.records == (record,)
    assert sequences(again) == [(1, "a", 3)]
    assert again.last_sequence == 1


def test_a_session_is_remembered_and_synced(tmp_path: Path) -> None:
    outbox = opened(tmp_path / "o.db")
    assert outbox.session == 0
    assert outbox.save_session(41)
    assert outbox._connection.execute("PRAGMA synchronous").fetchone() == (1,), "only that one commit is synced"
    outbox.close()
    assert opened(tmp_path / "o.db", boot_id="another").session == 41


def test_a_session_is_not_remembered_in_memory_alone(tmp_path: Path) -> None:
    (tmp_path / "o.db").mkdir()
    outbox = opened(tmp_path / "o.db")
    assert outbox.in_memory
    assert not outbox.save_session(41)
    assert outbox.session == 41


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX notion")
def test_all_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "o.db").touch(mode=0o644)
        outbox = opened(tmp_path / "o.db")
        outbox.commit(send(report("a")))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert modes == {"o.db": 0o600, "o.db-wal": 0o600}
    finally:
        os.umask(before)


def test_the_desired_state_changes_by_differences() -> None:
    connection = memory_connection()
    outbox = Outbox(connection, boot_id="boot", new_id=ids())
    other = replace(ASSIGNMENT, instance="b", spec_key="l")
    outbox.commit(
        [SaveDesired(log_id="log", revision=1, assignments=(ASSIGNMENT, other), specs={"k": b"1", "l": b"2"})]
    )
    changed = replace(ASSIGNMENT, goal=Goal.STOP)
    outbox.commit([SaveDesired(log_id="log", revision=2, assignments=(changed,), removed=("b",), removed_specs=("l",))])
    restored = Outbox(connection, boot_id="boot", new_id=ids()).restored(0)
    assert (restored.revision, restored.assignments, restored.specs) == (2, (changed,), {"k": b"1"})


def test_records_are_replaced_and_forgotten() -> None:
    connection = memory_connection()
    outbox = Outbox(connection, boot_id="boot", new_id=ids())
    first, second = (Record(report=report(name), driver="process") for name in ("a", "b"))
    outbox.commit([SaveRecord(record=first), SaveRecord(record=second)])
    newer = replace(first, restarts=4)
    outbox.commit([SaveRecord(record=newer), ForgetRecord(instance="b")])
    assert Outbox(connection, boot_id="boot", new_id=ids()).restored(0).records == (newer,)


def test_a_machine_that_restarted_begins_a_new_id_and_keeps_what_is_pending(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = opened(path, "boot-1")
    outbox.commit(send(report("a")))
    before = outbox.id
    outbox.close()
    again = opened(path, "boot-2")
    assert again.id != before
    assert sequences(again) == [(1, "a", 1)]


def test_at_the_bound_replaced_reports_go_first() -> None:
    outbox = in_memory(OutboxLimits(reports=10, bytes=1 << 20))
    outbox.commit(send(*(report("crashing", n) for n in range(1, 8)), report("quiet"), report("other")))
    assert outbox.pending_count == 9
    outbox.commit(send(report("crashing", 8), report("crashing", 9)))
    kept = sequences(outbox)
    assert outbox.pending_count == len(kept) == 9
    assert kept[0] == (3, "crashing", 3), "the oldest replaced ones went"
    assert kept[-1] == (11, "crashing", 9)
    assert [name for _, name, _ in kept].count("quiet") == 1
    assert outbox.dropped == 0


def test_beyond_that_the_oldest_go_and_are_counted() -> None:
    outbox = in_memory(OutboxLimits(reports=10, bytes=1 << 20))
    outbox.commit(send(*(report(f"i{n}") for n in range(12))))
    assert [name for _, name, _ in sequences(outbox)] == [f"i{n}" for n in range(3, 12)]
    assert outbox.dropped == 3


def test_bytes_are_a_bound_too() -> None:
    outbox = in_memory(OutboxLimits(reports=1000, bytes=10_000))
    for n in range(100):
        outbox.commit(send(report(f"i{n % 3}", n, message="x" * 500)))
        assert outbox.pending_bytes <= 10_000
    assert {name for _, name, _ in sequences(outbox)} == {"i0", "i1", "i2"}
    assert outbox.dropped == 0


@settings(max_examples=50)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(0, 4)),
            st.tuples(st.just("ack"), st.integers(0, 40)),
            st.tuples(st.just("reopen"), st.just(0)),
        ),
        max_size=60,
    ),
    st.integers(3, 12),
)
def test_the_newest_report_of_each_instance_is_never_lost_within_the_bound(
    steps: list[tuple[str, int]], bound: int
) -> None:
    """Five instances, a bound of 3 to 12: as long as the instances fit, nothing but history is dropped."""
    connection = memory_connection()
    outbox = Outbox(connection, boot_id="boot", new_id=ids(), limits=OutboxLimits(bound, 1 << 20))
    newest: dict[str, tuple[int, int]] = {}
    attempt = 0
    for kind, number in steps:
        if kind == "send":
            attempt += 1
            outbox.commit(send(report(f"i{number}", attempt)))
            newest[f"i{number}"] = (outbox.last_sequence, attempt)
        elif kind == "ack":
            outbox.acknowledge(number)
            newest = {name: value for name, value in newest.items() if value[0] > number}
        else:
            outbox = Outbox(connection, boot_id="boot", new_id=ids(), limits=OutboxLimits(bound, 1 << 20))
        kept = sequences(outbox)
        assert outbox.pending_count == len(kept) <= bound
        if len(newest) <= bound * 9 // 10:
            assert {(s, n, a) for n, (s, a) in newest.items()} <= set(kept)


@pytest.mark.parametrize("damage", ["garbage", "cut", "flipped", "newer", "not-json"])
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "outbox.db"
    outbox = opened(path)
    outbox.commit(send(*(report(f"i{n}", message="y" * 900) for n in range(40))))
    before = outbox.id
    outbox.close()
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data = bytearray(os.urandom(len(data)))
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flipped":
        data[4096 * 2 : 4096 * 2 + 64] = os.urandom(64)
    path.write_bytes(data)
    if damage in ("newer", "not-json"):
        connection = sqlite3.connect(path)
        statement = "PRAGMA user_version = 99" if damage == "newer" else "INSERT INTO records VALUES ('a', x'ff')"
        connection.execute(statement)
        connection.commit()
        connection.close()
    again = opened(path)
    assert again.id != before
    assert again.restored(0).records == ()
    assert sequences(again) == []
    assert [p.name for p in tmp_path.glob("outbox.db.damaged-*")] == ["outbox.db.damaged-77"]
    again.commit(send(report("a")))
    assert sequences(again) == [(1, "a", 1)]


def test_only_a_few_damaged_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    for now in range(100, 107):
        path.write_bytes(b"garbage" * 1000)
        opened(path, now_ms=now).close()
    assert sorted(p.name for p in tmp_path.glob("*.damaged-*")) == [f"outbox.db.damaged-{n}" for n in (104, 105, 106)]


def test_a_second_process_is_refused_and_nothing_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = opened(path)
    outbox.commit(send(report("a")))
    with pytest.raises(OutboxUnusable, match="in use"):
        opened(path)
    assert not list(tmp_path.glob("*.damaged-*"))
    assert sequences(outbox) == [(1, "a", 1)]


def test_a_full_disk_makes_it_go_on_in_memory_and_return(tmp_path: Path) -> None:
    """SQLite's own limit of pages refuses writes exactly as a full disk does."""
    path = tmp_path / "outbox.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA max_page_count = 24")
    outbox = Outbox(connection, boot_id="boot", new_id=ids(), path=path)
    before = outbox.id
    count = 0
    while not outbox.in_memory:
        outbox.commit(send(report(f"i{count}", message="z" * 900)))
        count += 1
        assert count < 200
    assert outbox.id != before, "numbers of the file and of the memory must not be mixed"
    outbox.commit([*send(report("after")), SaveRecord(record=Record(report=report("after"), driver="process"))])
    assert [name for _, name, _ in sequences(outbox)] == [*(f"i{n}" for n in range(count)), "after"]
    during = outbox.id
    assert outbox.return_to_disk()
    assert not outbox.in_memory
    assert outbox.id == during
    outbox.close()
    again = opened(path)
    assert again.id == during
    assert [r.report.instance for r in again.restored(0).records] == ["after"]
    assert len(sequences(again)) == count + 1


def test_where_nothing_can_be_written_it_begins_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "outbox.db"
    outbox = opened(path)
    assert outbox.in_memory
    outbox.commit(send(report("a")))
    assert not outbox.return_to_disk()
    path.parent.mkdir()
    assert outbox.return_to_disk()
    outbox.close()
    assert sequences(opened(path)) == [(1, "a", 1)]


WRITER = """
import sys
from omnitide.node.instructions import SaveRecord, SendReport
from omnitide.node.outbox import open_outbox
from omnitide.node.records import Phase, Record, Report
from pathlib import Path
outbox = open_outbox(Path(sys.argv[1]), boot_id="boot", new_id=lambda: "only", now_ms=0)
start = outbox.last_sequence
for n in range(start + 1, start + 100_000):
    report = Report(instance="a", generation=1, attempt=n, phase=Phase.RUNNING, at_ms=n)
    outbox.commit([SendReport(report=report), SaveRecord(record=Record(report=report, driver="process"))])
    print(n, flush=True)
"""


def test_nothing_committed_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    told = 0
    for round_ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(30 + 17 * round_):
                told = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in child.stdout if line.endswith("\n"))])
    outbox = opened(path)
    assert outbox.id == "only"
    assert outbox.last_sequence in (told, told + 1)
    assert [s for s, _, _ in sequences(outbox)] == list(range(1, outbox.last_sequence + 1))
    (record,) = outbox.restored(0).records
    assert record.report.attempt == outbox.last_sequence, "report and record of a pass are there or not, together"
