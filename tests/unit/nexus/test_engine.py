"""The engine on a log in memory: what is acknowledged, when, and what happens when the log fails."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from omnitide.fabric.commands import (
    CreateFabric,
    CreateNamespace,
    DeployAgent,
    Header,
    IssueToken,
    RevokeToken,
    ScaleAgent,
)
from omnitide.fabric.decide import Decision
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import TokenPurpose
from omnitide.model.spec import AgentSpec
from omnitide.nexus.engine import Engine, EngineLimits
from omnitide.operations.runtime import NotServing, Trimmed, WatchLagged
from omnitide.store.memory import AppendFault, MemoryLog, MemoryStorage
from omnitide.store.protocol import Batch, LogCorrupt, Tail

ADMIN = Header(principal="system:test")


class ManualClock:
    def __init__(self) -> None:
        self.wall_ms = 1_000_000
        self.seconds = 0.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.seconds


class Disk:
    """Holds batches back from durability until they are let through."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.batches: list[Batch] = []

    async def __call__(self, batch: Batch) -> None:
        self.batches.append(batch)
        await self.open.wait()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def log(disk: Disk) -> MemoryLog:
    return MemoryLog(MemoryStorage(), disk)


@pytest.fixture
async def engine(log: MemoryLog, disk: Disk, clock: ManualClock) -> AsyncIterator[Engine]:
    engine = await Engine.open(log, clock, EngineLimits(watcher_entries=5, recent_entries=4))
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    yield engine
    disk.open.set()  # a test that failed may have left it shut, and the engine ends with its last batch
    await engine.close()


async def settle() -> None:
    """Let everything run that can run without the disk."""
    for _ in range(20):
        await asyncio.sleep(0)


def submit(engine: Engine, name: str, header: Header = ADMIN) -> "asyncio.Task[Decision | Rejection]":
    return asyncio.ensure_future(engine.submit(CreateNamespace(name=name), header))


async def test_an_answer_waits_until_its_batch_is_durable(engine: Engine, disk: Disk) -> None:
    disk.open.clear()
    asked = submit(engine, "blue")
    await settle()
    assert not asked.done()
    assert "blue" not in engine.committed().namespaces
    disk.open.set()
    answer = await asked
    assert isinstance(answer, Decision)
    assert answer.revision == 2
    assert "blue" in engine.committed().namespaces


async def test_commands_are_decided_on_what_the_batch_in_flight_will_make_true(engine: Engine, disk: Disk) -> None:
    disk.open.clear()
    first = submit(engine, "blue")
    await settle()
    second = submit(engine, "blue")
    await settle()
    assert not second.done(), "even a refusal waits: what it rests on is not durable yet"
    disk.open.set()
    assert isinstance(await first, Decision)
    refusal = await second
    assert isinstance(refusal, Rejection)
    assert refusal.code == "already-exists"


async def test_many_commands_share_one_sync(engine: Engine, disk: Disk) -> None:
    before = len(disk.batches)
    disk.open.clear()
    asked = [submit(engine, "first")]
    await settle()
    asked += [submit(engine, f"n{number}") for number in range(100)]
    await settle()
    disk.open.set()
    await asyncio.gather(*asked)
    assert [len(batch.payloads) for batch in disk.batches[before:]] == [1, 100]


async def test_the_answer_of_a_command_that_changed_nothing_is_durable_where_it_has_a_key(
    engine: Engine, disk: Disk
) -> None:
    revoked = RevokeToken(id="t", force=True)
    await engine.submit(IssueToken(id="t", purpose=TokenPurpose.API, digest="d"), ADMIN)
    await engine.submit(revoked, ADMIN)
    written = sum(len(batch.payloads) for batch in disk.batches)
    await engine.submit(revoked, ADMIN)
    assert sum(len(batch.payloads) for batch in disk.batches) == written
    answer = await engine.submit(revoked, Header(principal="system:test", idempotency_key="k", fingerprint="1"))
    assert isinstance(answer, Decision)
    assert answer.entry.events == ()
    assert sum(len(batch.payloads) for batch in disk.batches) == written + 1
    assert engine.committed().revision == answer.revision


async def test_a_command_without_events_is_answered_only_on_durable_state(engine: Engine, disk: Disk) -> None:
    key = Header(principal="system:test", idempotency_key="k", fingerprint="1")
    disk.open.clear()
    first = submit(engine, "blue", key)
    await settle()
    again = submit(engine, "blue", key)
    await settle()
    assert not again.done()
    disk.open.set()
    one, two = await asyncio.gather(first, again)
    assert isinstance(one, Decision)
    assert isinstance(two, Decision)
    assert two.replayed
    assert two.revision == one.revision
    assert engine.committed().revision == one.revision


async def test_a_full_disk_refuses_writes_keeps_reads_and_recovers(
    engine: Engine, log: MemoryLog, clock: ManualClock
) -> None:
    log.fail_appends(AppendFault.FULL)
    with pytest.raises(NotServing, match="disk of the event log is full"):
        await engine.submit(CreateNamespace(name="blue"), ADMIN)
    assert engine.committed().revision == 1
    assert engine.refusing
    with pytest.raises(NotServing, match="full"):
        await engine.submit(CreateNamespace(name="blue"), ADMIN)
    assert [revision for revision, _ in await engine.entries(0, 10)] == [1]
    clock.seconds += 2
    answer = await engine.submit(CreateNamespace(name="blue"), ADMIN)
    assert isinstance(answer, Decision)
    assert answer.revision == 2
    assert not engine.refusing


async def test_what_was_decided_on_a_batch_that_failed_is_forgotten(
    engine: Engine, log: MemoryLog, disk: Disk, clock: ManualClock
) -> None:
    disk.open.clear()
    log.fail_appends(AppendFault.UNKNOWN_LOST)
    first, second = submit(engine, "blue"), None
    await settle()
    second = submit(engine, "blue")
    await settle()
    disk.open.set()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(outcome, NotServing) for outcome in outcomes)
    clock.seconds += 2
    assert isinstance(await engine.submit(CreateNamespace(name="blue"), ADMIN), Decision)


async def test_an_unknown_outcome_that_was_written_is_acknowledged(engine: Engine, log: MemoryLog) -> None:
    log.fail_appends(AppendFault.UNKNOWN_APPLIED)
    answer = await engine.submit(CreateNamespace(name="blue"), ADMIN)
    assert isinstance(answer, Decision)
    assert engine.committed().revision == 2 == (await log.tail()).position


async def test_a_writer_that_lost_the_log_fails_and_says_so(engine: Engine, log: MemoryLog, clock: ManualClock) -> None:
    MemoryLog(log.storage)
    with pytest.raises(NotServing):
        await engine.submit(CreateNamespace(name="blue"), ADMIN)
    assert "epoch" in str(await engine.failed)
    with pytest.raises(NotServing):
        await engine.submit(CreateNamespace(name="red"), ADMIN)


async def test_a_log_that_holds_another_batch_after_an_unknown_outcome_fails_the_engine(
    engine: Engine, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is the batch at the end nor is the log where it was: nothing that is known here fits it any more."""
    durable, tail = engine.committed(), log.tail

    async def of_another_writer() -> Tail:
        if log.storage.tail.position == durable.revision:
            log.storage.apply(Batch(log.epoch, durable.revision, b"another", [b"what it wrote"]))
        return await tail()

    monkeypatch.setattr(log, "tail", of_another_writer)
    log.fail_appends(AppendFault.UNKNOWN_LOST)
    with pytest.raises(NotServing):
        await engine.submit(CreateNamespace(name="blue"), ADMIN)
    assert "neither before nor after the last batch" in str(await engine.failed)
    assert engine.committed() is durable
    with pytest.raises(NotServing):
        await engine.submit(CreateNamespace(name="red"), ADMIN)


async def test_the_inbox_is_bounded(log: MemoryLog, disk: Disk, clock: ManualClock) -> None:
    engine = await Engine.open(log, clock, EngineLimits(inbox=3, batch_entries=1))
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    disk.open.clear()
    asked = [submit(engine, f"n{number}") for number in range(8)]
    await settle()
    refused = [task for task in asked if task.done() and isinstance(task.exception(), NotServing)]
    assert refused
    disk.open.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert len([outcome for outcome in outcomes if isinstance(outcome, Decision)]) == 8 - len(refused)
    await engine.close()


async def test_time_never_goes_back(engine: Engine, clock: ManualClock) -> None:
    await engine.submit(CreateNamespace(name="blue"), ADMIN)
    clock.wall_ms -= 500_000
    await engine.submit(CreateNamespace(name="red"), ADMIN)
    times = [entry.time_ms for _, entry in await engine.entries(0, 10)]
    assert times == sorted(times)


async def test_a_watcher_gets_history_then_what_comes(engine: Engine) -> None:
    await engine.submit(CreateNamespace(name="blue"), ADMIN)
    seen: list[int] = []

    async def watch() -> None:
        async for batch in engine.watchers.watch(0, engine.entries):
            seen.extend(revision for revision, _ in batch)
            if len(seen) >= 4:
                return

    watching = asyncio.ensure_future(watch())
    await settle()
    await engine.submit(CreateNamespace(name="red"), ADMIN)
    await engine.submit(CreateNamespace(name="green"), ADMIN)
    await asyncio.wait_for(watching, 5)
    assert seen == [1, 2, 3, 4]
    assert len(engine.watchers) == 0


async def test_a_slow_watcher_is_told_where_to_resume_and_loses_nothing(engine: Engine) -> None:
    stream = engine.watchers.watch(1, engine.entries)
    pulled = asyncio.ensure_future(anext(stream))
    await settle()
    await engine.submit(CreateNamespace(name="n0"), ADMIN)
    first = await pulled
    for number in range(1, 10):
        await engine.submit(CreateNamespace(name=f"n{number}"), ADMIN)
    with pytest.raises(WatchLagged) as lagged:
        async for batch in stream:
            first = batch
    position = lagged.value.resume_from
    assert position == first[-1][0]
    seen: list[int] = []
    async for batch in engine.watchers.watch(position, engine.entries):
        seen.extend(revision for revision, _ in batch)
        if seen[-1] == engine.committed().revision:
            break
    assert seen == list(range(position + 1, engine.committed().revision + 1))


async def test_a_restart_rebuilds_the_same_state_with_and_without_a_snapshot(
    engine: Engine, log: MemoryLog, clock: ManualClock
) -> None:
    for number in range(5):
        await engine.submit(CreateNamespace(name=f"a{number}"), ADMIN)
    await engine.snapshot()
    for number in range(5):
        await engine.submit(CreateNamespace(name=f"b{number}"), ADMIN)
    state = engine.committed()
    await engine.close()
    again = await Engine.open(MemoryLog(log.storage), clock)
    assert again.committed() == state
    await again.close()
    log.storage.snapshots.clear()
    once_more = await Engine.open(MemoryLog(log.storage), clock)
    assert once_more.committed() == state
    await once_more.close()


async def test_snapshots_are_taken_and_the_log_is_trimmed_behind_two(log: MemoryLog, clock: ManualClock) -> None:
    limits = EngineLimits(snapshot_every=10, keep_entries=5, recent_entries=2)
    engine = await Engine.open(log, clock, limits)
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    for number in range(60):
        await engine.submit(CreateNamespace(name=f"n{number}"), ADMIN)
        await settle()
    state = engine.committed()
    assert len(log.storage.snapshots) == 2
    assert await log.first_position() > 1
    with pytest.raises(Trimmed):
        await engine.entries(0, 10)
    await engine.close()
    again = await Engine.open(MemoryLog(log.storage), clock, limits)
    assert again.committed() == state
    await again.close()


async def test_snapshots_are_taken_by_what_happened_however_few_entries_hold_it(
    log: MemoryLog, clock: ManualClock
) -> None:
    """A start folds events: one entry may hold fifty thousand."""
    limits = EngineLimits(snapshot_every=100)
    engine = await Engine.open(log, clock, limits)
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    spec = AgentSpec(command=("serve",))
    await engine.submit(DeployAgent(agent="a", namespace="default", name="a", spec=spec, replicas=90), ADMIN)
    await settle()
    assert log.storage.snapshots == {}
    await engine.close()
    # What was written before this start counts too.
    again = await Engine.open(MemoryLog(log.storage), clock, limits)
    await again.submit(ScaleAgent(namespace="default", name="a", replicas=100), ADMIN)
    await settle()
    assert list(log.storage.snapshots) == [again.committed().revision]
    await again.submit(CreateNamespace(name="x"), ADMIN)
    await settle()
    assert len(log.storage.snapshots) == 1
    await again.close()


async def test_a_damaged_snapshot_is_passed_over_for_the_one_before(
    engine: Engine, log: MemoryLog, clock: ManualClock
) -> None:
    await engine.snapshot()
    await engine.submit(CreateNamespace(name="blue"), ADMIN)
    await engine.snapshot()
    state = engine.committed()
    await engine.close()
    newest = max(log.storage.snapshots)
    info, chunks = log.storage.snapshots[newest]
    log.storage.snapshots[newest] = (info, (b"x" * len(chunks[0]), *chunks[1:]))
    again = await Engine.open(MemoryLog(log.storage), clock)
    assert again.committed() == state
    await again.close()
    log.storage.snapshots = {newest: log.storage.snapshots[newest]}
    log.storage.forget_below(2)
    with pytest.raises(LogCorrupt):
        await Engine.open(MemoryLog(log.storage), clock)


async def test_closing_refuses_what_waits(engine: Engine, disk: Disk) -> None:
    disk.open.clear()
    asked = submit(engine, "blue")
    await settle()
    closing = asyncio.ensure_future(engine.close())
    await settle()
    disk.open.set()
    await closing
    assert isinstance(await asked, Decision)
    with pytest.raises(NotServing):
        await engine.submit(CreateNamespace(name="red"), ADMIN)


async def test_a_burst_is_decided_in_turns_and_the_rest_of_the_loop_has_its_own(
    log: MemoryLog, clock: ManualClock
) -> None:
    engine = await Engine.open(log, clock, EngineLimits(turn_commands=10))
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    asked = [submit(engine, f"n{number}") for number in range(100)]
    turns = 0
    while not all(task.done() for task in asked):
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 10
    assert all(isinstance(task.result(), Decision) for task in asked)
    await engine.close()


async def test_a_dry_run_is_answered_from_what_is_durable(engine: Engine, disk: Disk) -> None:
    disk.open.clear()
    asked = submit(engine, "blue")
    await settle()
    outcome = engine.dry_run(CreateNamespace(name="blue"), ADMIN)
    assert isinstance(outcome, Decision)
    disk.open.set()
    await asked
    assert isinstance(engine.dry_run(CreateNamespace(name="blue"), ADMIN), Rejection)


async def test_too_many_reads_that_wait_for_a_revision_are_refused(log: MemoryLog, clock: ManualClock) -> None:
    engine = await Engine.open(log, clock, EngineLimits(readers=2))
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    ahead = engine.committed().revision + 1
    waiting = [asyncio.ensure_future(engine.wait_for(ahead, 60.0)) for _ in range(2)]
    await settle()
    with pytest.raises(NotServing, match="2 reads wait"):
        await engine.wait_for(ahead, 60.0)
    assert await engine.wait_for(ahead - 1, 60.0)
    await submit(engine, "blue")
    assert await asyncio.gather(*waiting) == [True, True]
    waiting = [asyncio.ensure_future(engine.wait_for(ahead + 1, 60.0)) for _ in range(2)]
    await settle()
    for reader in waiting:
        reader.cancel()
    await settle()
    assert not await engine.wait_for(ahead + 1, 0.0)
    await engine.close()
