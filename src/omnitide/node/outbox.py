"""What a node remembers: reports that Nexus has not acknowledged, the desired state, and every instance's record.

SQLite in WAL mode, one transaction a pass of the reconciler. `synchronous=NORMAL`: the log is synced at checkpoints
only, so a commit costs about 0.1 ms and survives the death of the process, whenever it is killed; only the number of a
session, of which there are few, is synced by itself. A power loss may take the last commits, but then the instances
that they told of died too; the change of boot id makes a new outbox id, lest
sequence numbers that Nexus has seen before be given out again. Calls block: a commit is far shorter than a hop to a
thread and back under load, and gRPC's keepalives are answered by its own threads even while a slow disk syncs.

Bounds: above `OutboxLimits` the oldest reports that a newer one of the same instance replaces are dropped, then the
oldest of all; a tenth is freed at a time. Nothing of the present state is lost by it: every hello carries the state of
all instances, and `dropped` asks for one.

Faults: a file that is damaged, or of a newer format, is set aside and a new one begun. A disk that refuses writes makes
the outbox go on in memory, under a new id, until `return_to_disk` succeeds.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from omnitide.node.instructions import ForgetRecord, Instruction, SaveDesired, SaveRecord, SendReport
from omnitide.node.records import Assignment, Record, Report
from omnitide.node.stimuli import Restored
from omnitide.telemetry import logs

SCHEMA_VERSION: Final = 1
KEPT_DAMAGED: Final = 3
"""Damaged files that stay beside the new one, for whoever wants to look."""
MEMORY: Final = ":memory:"

_SCHEMA: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE reports (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX reports_by_instance ON reports (instance, sequence);
CREATE TABLE assignments (instance TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE specs (key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE records (instance TEXT PRIMARY KEY, body BLOB NOT NULL);
PRAGMA user_version = {SCHEMA_VERSION};
"""

log = logs.get(__name__)


class OutboxLimits(NamedTuple):
    reports: int = 10_000
    bytes: int = 64 << 20


DEFAULT_LIMITS: Final = OutboxLimits()


class OutboxUnusable(Exception):
    """A file that cannot be read as an outbox."""


class Pending(NamedTuple):
    """A report that awaits its acknowledgement."""

    sequence: int
    report: Report


class Outbox:
    """Durable memory over one SQLite connection, which nobody else uses."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        boot_id: str,
        new_id: Callable[[], str],
        limits: OutboxLimits = DEFAULT_LIMITS,
        path: Path | None = None,
        in_memory: bool = False,
    ) -> None:
        """Take over what the connection holds. `path`: where it is, or should be (`in_memory`), for `return_to_disk`.

        Raises OutboxUnusable for what cannot be read, sqlite3.Error where the disk refuses.
        """
        self._connection = connection
        self._path = path
        self._new_id = new_id
        self._limits = limits
        self.in_memory = in_memory
        """The disk refused writes: nothing survives the process until `return_to_disk`."""
        self.dropped = 0
        """Reports lost to the bounds that no newer one of their instance replaces."""
        try:
            self._prepare(boot_id)
            self._restored = self._load()
        except (msgspec.MsgspecError, ValueError) as error:
            raise OutboxUnusable(str(error)) from error

    @property
    def id(self) -> str:
        """Sequences compare only within one id."""
        return self._id

    @property
    def last_sequence(self) -> int:
        """Of the youngest report ever put in."""
        return self._last

    @property
    def pending_count(self) -> int:
        return self._count

    @property
    def pending_bytes(self) -> int:
        return self._bytes

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where Nexus was said to be last."""
        return tuple(self._meta("endpoints").split())

    @property
    def session(self) -> int:
        """The last session that was kept; 0: none that is remembered."""
        return int(self._meta("session") or 0)

    def save_session(self, session: int) -> bool:
        """Remember a session, through a power loss too: synced at once, as Nexus will hold the node to it. False where
        it does not outlive the process."""
        self._connection.execute("PRAGMA synchronous = FULL")
        self._write(lambda: self._set_meta("session", str(session)))
        self._connection.execute("PRAGMA synchronous = NORMAL")
        return not self.in_memory

    def set_limits(self, limits: OutboxLimits) -> None:
        """Other bounds, from the next report on."""
        self._limits = limits

    def save_endpoints(self, endpoints: Sequence[str]) -> None:
        if tuple(endpoints) != self.endpoints:
            self._write(lambda: self._set_meta("endpoints", " ".join(endpoints)))

    @property
    def folder(self) -> str:
        """Which folder this is the outbox of, in the words of whoever claimed it; empty if nobody has."""
        return self._meta("folder")

    def save_folder(self, folder: str) -> None:
        if folder != self.folder:
            self._write(lambda: self._set_meta("folder", folder))

    def forget_desired(self) -> None:
        """What should run is for Nexus to say anew: whoever opens this outbox next starts nothing by himself. What is
        known of instances stays, and is told."""

        def forget() -> None:
            self._connection.execute("DELETE FROM assignments")
            self._connection.execute("DELETE FROM specs")
            self._set_meta("revision", "0")

        self._write(forget)
        self._restored = msgspec.structs.replace(self._restored, revision=0, assignments=(), specs={})

    def begin_elsewhere(self) -> None:
        """Go on as the memory of another folder than the one that wrote this."""
        self.forget_desired()
        self.renew_id()

    def restored(self, at_ms: int) -> Restored:
        """What was remembered when the outbox was opened, once."""
        restored, self._restored = self._restored, Restored(at_ms=at_ms, log_id="", revision=0)
        return msgspec.structs.replace(restored, at_ms=at_ms)

    def commit(self, instructions: Iterable[Instruction]) -> None:
        """Carry out all that is to be remembered of a pass, in one transaction; other instructions are passed over."""
        kept = [i for i in instructions if isinstance(i, SendReport | SaveRecord | ForgetRecord | SaveDesired)]
        if kept:
            self._write(lambda: self._apply(kept))

    def pending(self, after: int, limit: int, max_bytes: int) -> list[Pending]:
        """The oldest reports above a sequence whose numbers follow without a gap; at least one, if there is any."""
        rows = self._connection.execute(
            "SELECT sequence, size, body FROM reports WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit)
        )
        found: list[Pending] = []
        size = 0
        for sequence, length, body in rows:
            size += length
            if found and (sequence != found[-1].sequence + 1 or size > max_bytes):
                break
            found.append(Pending(sequence, msgspec.json.decode(body, type=Report)))
        return found

    def acknowledge(self, sequence: int) -> None:
        """Forget reports up to here: they are Nexus's now."""
        if self._count:
            self._write(lambda: self._delete("sequence <= ?", (sequence,)))

    def renew_id(self) -> None:
        """Begin a new id: Nexus has seen sequences of the old one that this file knows nothing of."""
        self._write(lambda: self._set_meta("outbox_id", self._new_id()))
        self._id = self._meta("outbox_id")

    def return_to_disk(self) -> bool:
        """After the disk refused writes: try to be durable again. True if it is."""
        if not self.in_memory or self._path is None:
            return not self.in_memory
        target: sqlite3.Connection | None = None
        try:
            target = _connect(str(self._path))
            self._connection.backup(target)
        except sqlite3.Error as error:
            log.debug("the outbox cannot be written yet", error=str(error))
            if target is not None:
                target.close()
            return False
        self._connection.close()
        self._connection = target
        self.in_memory = False
        log.info("the outbox is on disk again", path=str(self._path))
        return True

    def close(self) -> None:
        self._connection.close()

    def _prepare(self, boot_id: str) -> None:
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        elif version != SCHEMA_VERSION:
            raise OutboxUnusable(f"it has format {version}; this version reads {SCHEMA_VERSION}")
        elif self._connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise OutboxUnusable("SQLite finds it damaged")
        if self._meta("boot_id") != boot_id or not self._meta("outbox_id"):
            with self._transaction():
                self._set_meta("boot_id", boot_id)
                self._set_meta("outbox_id", self._new_id())
        self._id = self._meta("outbox_id")
        self._measure()

    def _measure(self) -> None:
        row = self._connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM reports").fetchone()
        self._count: int = row[0]
        self._bytes: int = row[1]
        last = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'reports'").fetchone()
        self._last: int = last[0] if last else 0

    def _load(self) -> Restored:
        def bodies(table: str) -> Iterable[bytes]:
            return (row[0] for row in self._connection.execute(f"SELECT body FROM {table} ORDER BY rowid"))  # noqa: S608

        return Restored(
            at_ms=0,
            log_id=self._meta("log_id"),
            revision=int(self._meta("revision") or 0),
            assignments=tuple(msgspec.json.decode(body, type=Assignment) for body in bodies("assignments")),
            specs=dict(self._connection.execute("SELECT key, body FROM specs ORDER BY rowid").fetchall()),
            records=tuple(msgspec.json.decode(body, type=Record) for body in bodies("records")),
        )

    def _apply(self, instructions: Sequence[SendReport | SaveRecord | ForgetRecord | SaveDesired]) -> None:
        execute = self._connection.execute
        for instruction in instructions:
            match instruction:
                case SendReport(report=report):
                    self._put(report)
                case SaveRecord(record=record):
                    execute(
                        "INSERT INTO records VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
                        (record.report.instance, msgspec.json.encode(record)),
                    )
                case ForgetRecord(instance=instance):
                    execute("DELETE FROM records WHERE instance = ?", (instance,))
                case SaveDesired():
                    self._save_desired(instruction)
        if self._count > self._limits.reports or self._bytes > self._limits.bytes:
            self._make_room()

    def _save_desired(self, desired: SaveDesired) -> None:
        many = self._connection.executemany
        self._set_meta("log_id", desired.log_id)
        self._set_meta("revision", str(desired.revision))
        many("DELETE FROM assignments WHERE instance = ?", ((name,) for name in desired.removed))
        many("DELETE FROM specs WHERE key = ?", ((key,) for key in desired.removed_specs))
        upsert = "INSERT INTO {} VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
        many(upsert.format("specs"), desired.specs.items())
        many(upsert.format("assignments"), ((a.instance, msgspec.json.encode(a)) for a in desired.assignments))

    def _put(self, report: Report) -> None:
        body = msgspec.json.encode(report)
        cursor = self._connection.execute(
            "INSERT INTO reports (instance, size, body) VALUES (?, ?, ?)", (report.instance, len(body), body)
        )
        assert cursor.lastrowid is not None
        self._last = cursor.lastrowid
        self._count += 1
        self._bytes += len(body)

    def _make_room(self) -> None:
        replaced = (
            "EXISTS (SELECT 1 FROM reports AS n WHERE n.instance = reports.instance AND n.sequence > reports.sequence)"
        )
        before = self._count
        self._shrink(replaced)
        coalesced = before - self._count
        self._shrink("TRUE")
        lost = before - coalesced - self._count
        self.dropped += lost
        log.warning("the outbox is full", replaced_reports=coalesced, dropped_reports=lost, pending=self._count)

    def _shrink(self, condition: str) -> None:
        """Delete the oldest reports for which a condition holds until a tenth of the bounds is free."""
        count = self._count - self._limits.reports * 9 // 10
        size = self._bytes - self._limits.bytes * 9 // 10
        last = 0
        rows = self._connection.execute(f"SELECT sequence, size FROM reports WHERE {condition} ORDER BY sequence")  # noqa: S608
        for sequence, length in rows:
            if count <= 0 and size <= 0:
                break
            last, count, size = sequence, count - 1, size - length
        self._delete(f"sequence <= ? AND {condition}", (last,))

    def _delete(self, condition: str, values: tuple[int, ...]) -> None:
        rows = self._connection.execute(f"DELETE FROM reports WHERE {condition} RETURNING size", values)  # noqa: S608
        sizes = [size for (size,) in rows]
        self._count -= len(sizes)
        self._bytes -= sum(sizes)

    def _write(self, work: Callable[[], None]) -> None:
        """Do some work in a transaction; where the disk refuses it, in memory."""
        try:
            with self._transaction():
                work()
        except sqlite3.Error as error:
            if self.in_memory or self._path is None:
                raise
            self._go_to_memory(error)
            with self._transaction():
                work()

    def _go_to_memory(self, error: sqlite3.Error) -> None:
        memory = _connect(MEMORY)
        # Read from the file, which still can be read: what it holds goes on in memory.
        self._connection.backup(memory)
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._connection = memory
        self.in_memory = True
        self._measure()
        # The file keeps its id and its sequences; should this process die, they must not be taken for these.
        self.renew_id()
        log.error("the outbox cannot be written; going on in memory", path=str(self._path), error=str(error))

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            self._measure()
            raise

    def _meta(self, key: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def _set_meta(self, key: str, value: str) -> None:
        self._connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, value)
        )


def open_outbox(
    path: Path, *, boot_id: str, new_id: Callable[[], str], now_ms: int, limits: OutboxLimits = DEFAULT_LIMITS
) -> Outbox:
    """Open or make the outbox of a node.

    What cannot be read is set aside. Where the disk refuses, the outbox begins in memory. Raises OutboxUnusable if
    another process uses it, OSError if a damaged file cannot be set aside.
    """

    def attempt() -> Outbox:
        return _adopt(_connect(str(path)), boot_id=boot_id, new_id=new_id, limits=limits, path=path)

    try:
        try:
            return attempt()
        except OutboxUnusable as error:
            problem = str(error)
        except sqlite3.Error as error:
            if _code(error) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
            problem = str(error)
        aside = _set_aside(path, now_ms)
        log.error("the outbox cannot be read and was set aside", path=str(path), aside=str(aside), error=problem)
        return attempt()
    except sqlite3.Error as error:
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise OutboxUnusable(f"{path} is in use by another process") from error
        log.error("the outbox cannot be opened; going on in memory", path=str(path), error=str(error))
        connection = _connect(MEMORY)
        return _adopt(connection, boot_id=boot_id, new_id=new_id, limits=limits, path=path, in_memory=True)


def memory_connection() -> sqlite3.Connection:
    """For the simulation: what a node remembers while its process dies is what this connection holds."""
    return _connect(MEMORY)


def _adopt(
    connection: sqlite3.Connection,
    *,
    boot_id: str,
    new_id: Callable[[], str],
    limits: OutboxLimits,
    path: Path,
    in_memory: bool = False,
) -> Outbox:
    try:
        return Outbox(connection, boot_id=boot_id, new_id=new_id, limits=limits, path=path, in_memory=in_memory)
    except BaseException:
        connection.close()
        raise


def _set_aside(path: Path, now_ms: int) -> Path:
    """Rename a damaged file, with its log; only the last few such files are kept."""
    aside = path.with_name(f"{path.name}.damaged-{now_ms}")
    for suffix in ("", "-wal"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    kept = sorted({old.name.removesuffix("-wal") for old in path.parent.glob(f"{path.name}.damaged-*")})
    for name in kept[:-KEPT_DAMAGED]:
        for suffix in ("", "-wal"):
            path.with_name(name + suffix).unlink(missing_ok=True)
    return aside


def _code(error: sqlite3.Error) -> int:
    """The primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _make_private(path: str) -> None:
    """Commands may hold secrets. What SQLite puts beside the file gets the file's own mode."""
    with contextlib.suppress(OSError):  # a disk that refuses is reported by SQLite, and dealt with there
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for name in (path, f"{path}-wal"):
            if os.path.exists(name):
                os.chmod(name, 0o600)


def _connect(path: str) -> sqlite3.Connection:
    """Raises sqlite3.Error."""
    if path != MEMORY:
        _make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, timeout=0.0)
    try:
        # Exclusive: one process alone uses the file, and the WAL needs no shared memory beside it.
        connection.executescript(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "PRAGMA cache_size = -512; PRAGMA journal_size_limit = 4194304; PRAGMA temp_store = MEMORY;"
        )
    except BaseException:
        connection.close()
        raise
    return connection
