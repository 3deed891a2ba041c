"""A bug in a rule, a part that does not follow, an entry that is too large: one command pays, and nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from omnitide.fabric.commands import Command, CreateFabric, CreateNamespace, Header
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState
from omnitide.nexus import engine as engine_module
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.engine import Engine, EngineLimits
from omnitide.nexus.watching import Committed
from omnitide.operations.failures import from_exception
from omnitide.operations.runtime import InternalFault
from omnitide.store.memory import MemoryLog, MemoryStorage
from omnitide.store.protocol import Batch

ADMIN = Header(principal="system:test")


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = await Engine.open(MemoryLog(MemoryStorage()), SystemClock())
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    yield engine
    await engine.close()


async def test_a_bug_in_a_rule_refuses_that_one_command_and_is_logged(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(state: FabricState, command: Command, header: Header) -> Decision | Rejection:
        if isinstance(command, CreateNamespace) and command.name == "cursed":
            raise ZeroDivisionError("by order")
        return decide(state, command, header)

    monkeypatch.setattr(engine_module, "decide", broken)
    with caplog.at_level(logging.ERROR):
        outcomes = await asyncio.gather(
            *(engine.submit(CreateNamespace(name=name), ADMIN) for name in ("before", "cursed", "after")),
            return_exceptions=True,
        )
    assert [type(outcome) for outcome in outcomes] == [Decision, InternalFault, Decision]
    fault = outcomes[1]
    assert isinstance(fault, InternalFault)
    assert not fault.retryable
    failure = from_exception(fault)
    assert failure is not None
    assert (failure.problem.code, failure.problem.status) == ("internal", 500)
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)
    assert set(engine.committed().namespaces) >= {"before", "after"}
    assert not engine.failed.done()


async def test_a_part_that_does_not_follow_a_commit_keeps_neither_the_engine_nor_the_others(engine: Engine) -> None:
    told: list[int] = []

    def stumble(_before: FabricState, _after: FabricState, _entries: list[Committed]) -> None:
        raise RuntimeError("by order")

    engine.subscribe(stumble)
    engine.subscribe(lambda _before, after, _entries: told.append(after.revision))
    outcome = await engine.submit(CreateNamespace(name="a"), ADMIN)
    assert isinstance(outcome, Decision)
    assert isinstance(await engine.submit(CreateNamespace(name="b"), ADMIN), Decision)
    assert told[0] == outcome.revision
    assert engine.stumbles == 2
    assert not engine.failed.done()


async def test_batches_keep_to_what_the_log_takes_and_an_entry_beyond_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[Batch] = []

    async def seen(batch: Batch) -> None:
        batches.append(batch)

    limit = 4_000
    monkeypatch.setattr(engine_module, "MAX_BATCH_BYTES", limit)
    engine = await Engine.open(MemoryLog(MemoryStorage(), seen), SystemClock(), EngineLimits(batch_bytes=limit - 1))
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    headers = [Header(principal="system:test", correlation="x" * (150 * number)) for number in range(20)]
    outcomes = await asyncio.gather(
        *(engine.submit(CreateNamespace(name=f"n{number}"), header) for number, header in enumerate(headers))
    )
    assert all(isinstance(outcome, Decision) for outcome in outcomes)
    assert max(sum(map(len, batch.payloads)) for batch in batches) <= limit
    huge = Header(principal="system:test", correlation="x" * limit)
    refused = await engine.submit(CreateNamespace(name="huge"), huge)
    assert isinstance(refused, Rejection)
    assert refused.code == "limit"
    assert "huge" not in engine.committed().namespaces
    await engine.close()


async def test_old_entries_are_read_no_further_than_what_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log may hold a batch of which nobody has been told yet."""
    log = MemoryLog(MemoryStorage())
    engine = await Engine.open(log, SystemClock(), EngineLimits(recent_entries=1))
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    for name in ("a", "b"):
        await engine.submit(CreateNamespace(name=name), ADMIN)
    durable = engine.committed()
    ahead = decide(durable, CreateNamespace(name="c"), ADMIN)
    assert isinstance(ahead, Decision)
    await log.append(Batch(log.epoch, durable.revision, b"untold", [ahead.payload]))
    found = await engine.entries(0, 100)
    assert [committed.revision for committed in found] == list(range(1, durable.revision + 1))
    await engine.close()
