"""A state as bytes and back: what a start reads instead of the whole log, and what the state's digest is made of.

A snapshot is a sequence of chunks; a chunk is a msgpack array of records; a record is a map with its kind and version.
First a header, then records in a fixed order (by kind, then by key), at the end a record with their number. Records
evolve by the rule in `events`: a kind and version is frozen, a field is added only with a default under which an old
record means what it meant. Maps that follow from the objects (names, what is pending, what a node holds) are not
written: `load` makes them anew.

`dump` is a generator over an immutable state: whoever draws from it may do other things between two chunks.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from immutables import Map

from omnitide.fabric.folds.membership import is_attached
from omnitide.fabric.rebuild import Builder, SnapshotDamaged
from omnitide.fabric.records import (
    FORMAT,
    AgentRecord,
    AnswerRecord,
    AnswersRecord,
    EndRecord,
    HeaderRecord,
    HomesRecord,
    InstanceItem,
    InstancesRecord,
    JobRecord,
    NamespaceRecord,
    NodeRecord,
    ProvisionRecord,
    Record,
    SlotItem,
    SlotsRecord,
    TokenRecord,
    VersionRecord,
)
from omnitide.fabric.state import Agent, FabricState, Job

__all__ = ["CHUNK_BYTES", "SnapshotDamaged", "digest", "dump", "load"]

CHUNK_BYTES: Final = 256 << 10
"""A chunk is never larger, but for a single record that is. It takes some ten milliseconds to make."""
BLOCK: Final = 500
"""Slots, instances or remembered answers of one record."""

_HEAD: Final = 5
"""Bytes of a msgpack array's head, as written here: array32."""

_NONE: Final[Map[str, None]] = Map()

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(list[Record])


def dump(state: FabricState) -> Iterator[bytes]:
    """The state as chunks. The same state gives the same bytes."""
    parts: list[bytes] = []
    size = _HEAD
    for record in _records(state):
        raw = _encoder.encode(record)
        if parts and size + len(raw) > CHUNK_BYTES:
            yield _chunk(parts)
            parts, size = [], _HEAD
        parts.append(raw)
        size += len(raw)
    yield _chunk(parts)


def _chunk(parts: list[bytes]) -> bytes:
    return b"\xdd" + len(parts).to_bytes(4, "big") + b"".join(parts)


def load(chunks: Iterable[bytes]) -> FabricState:
    """The state that was dumped. Raises SnapshotDamaged for what is not a whole snapshot that this release can read."""
    builder = Builder()
    for number, chunk in enumerate(chunks):
        try:
            records = _decoder.decode(chunk)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SnapshotDamaged(f"chunk {number} cannot be read: {error}", chunk=number) from error
        builder.add(number, records)
    return builder.finish()


def digest(state: FabricState) -> str:
    """`sha256:<hex>` over the snapshot: equal for equal states, whatever process made them."""
    hashed = hashlib.sha256()
    for chunk in dump(state):
        hashed.update(chunk)
    return f"sha256:{hashed.hexdigest()}"


def _records(state: FabricState) -> Iterator[Record]:
    count = 0
    for record in _body(state):
        count += 1
        yield record
    yield EndRecord(records=count, instances=len(state.instances))


def _body(state: FabricState) -> Iterator[Record]:
    yield HeaderRecord(
        format=FORMAT,
        fabric_id=state.fabric_id,
        revision=state.revision,
        time_ms=state.time_ms,
        feature_level=state.feature_level,
        turned_ms=state.idempotency.turned_ms,
        namespaces=len(state.namespaces),
        tokens=len(state.tokens),
        nodes=len(state.nodes),
        agents=len(state.agents),
        jobs=len(state.jobs),
        instances=len(state.instances),
        provisions=len(state.provisions),
    )
    for name in sorted(state.namespaces):
        yield NamespaceRecord(namespace=state.namespaces[name])
    for identifier in sorted(state.tokens):
        yield TokenRecord(token=state.tokens[identifier])
    for identifier in sorted(state.provisions):
        yield ProvisionRecord(provision=state.provisions[identifier])
    for identifier in sorted(state.nodes):
        yield NodeRecord.of(state.nodes[identifier])
    for identifier in sorted(state.agents):
        yield from _agent(state, state.agents[identifier])
    for identifier in sorted(state.jobs):
        yield from _job(state, state.jobs[identifier])
    for turn, answers in (("older", state.idempotency.older), ("recent", state.idempotency.recent)):
        keys = sorted(answers)
        for start in range(0, len(keys), BLOCK):
            part = [AnswerRecord(key=key, answer=answers[key]) for key in keys[start : start + BLOCK]]
            yield AnswersRecord(turn=turn, answers=part)


def _agent(state: FabricState, agent: Agent) -> Iterator[Record]:
    yield AgentRecord.of(agent)
    for number in sorted(agent.versions):
        yield VersionRecord(agent=agent.id, version=agent.versions[number])
    if agent.homes:
        yield HomesRecord(agent=agent.id, homes=sorted(agent.homes.items()))
    numbers = sorted(agent.slots)
    for start in range(0, len(numbers), BLOCK):
        part = numbers[start : start + BLOCK]
        yield SlotsRecord(agent=agent.id, slots=[SlotItem.of(number, agent.slots[number], agent.id) for number in part])
    yield from _instances(state, agent.id, [agent.slots[number].current for number in numbers], agent.watched)
    yield from _instances(state, agent.id, sorted(agent.strays), agent.watched)


def _job(state: FabricState, job: Job) -> Iterator[Record]:
    yield JobRecord.of(job)
    yield from _instances(state, job.id, [job.slot.current, *sorted(job.strays)])


def _instances(
    state: FabricState, workload: str, members: list[str], watched: Map[str, None] = _NONE
) -> Iterator[Record]:
    known = [instance for instance in map(state.instances.get, members) if instance is not None]
    for start in range(0, len(known), BLOCK):
        part = known[start : start + BLOCK]
        items = [
            InstanceItem.of(instance, attached=is_attached(state, instance), watched=instance.id in watched)
            for instance in part
        ]
        yield InstancesRecord(workload=workload, instances=items)
