"""The golden files: what the log and the snapshots of released versions look like, byte by byte.

    python -m tests.unit.fabric.golden_files

writes those that are missing, for a new kind of event or record, and never touches one that is there. A golden file
that no longer holds means that an old log would be read as something else: mend the code, not the file. Where a new
version of an event or record is made, the old file stays beside the new one.
"""

import enum
import json
import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.evolve import TURN_MS, apply
from omnitide.fabric.snapshot import digest, dump
from omnitide.fabric.state import FabricState, Health, empty_state

GOLDEN = Path(__file__).parent / "golden"
EVENTS = GOLDEN / "events"
BASE = GOLDEN / "base.json"
ENTRY = GOLDEN / "entry.json"
HISTORY = GOLDEN / "history.json"
SNAPSHOT = GOLDEN / "snapshot-1.json"
PROVISIONS = GOLDEN / "provisions-1.json"
"""A history of its own for secrets and configs, with its snapshot: they came after the first history was made."""

LIFECYCLE = GOLDEN / "lifecycle-1.json"
"""Likewise for superseded instances, paused rollouts and volumes that stay."""

RECORD_MS = 1_700_000_900_000
EVERY = 50
"""Entries of the history between two digests."""

Json = dict[str, "object"]


def explicit(value: object) -> object:
    """As JSON for people, with every field written, defaults too."""
    if isinstance(value, msgspec.Struct):
        fields = {name: explicit(getattr(value, name)) for name in value.__struct_fields__}
        return list(fields.values()) if value.__struct_config__.array_like else fields
    if isinstance(value, dict):
        return {key: explicit(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [explicit(item) for item in value]
    return value.value if isinstance(value, enum.Enum) else value


def recorded(event: ev.Event) -> ev.Entry:
    return ev.Entry(time_ms=RECORD_MS, principal="system:golden", events=(event,))


def fold(entries: list[ev.Entry]) -> FabricState:
    state = empty_state()
    for entry in entries:
        state = apply(state, entry)
    return state


def read(path: Path) -> Json:
    return json.loads(path.read_text())


def read_entries(path: Path) -> list[ev.Entry]:
    return [ev.decode_entry(bytes.fromhex(raw)) for raw in read(path)["entries"]]  # type: ignore[union-attr]


def _write(path: Path, make: Callable[[], Json]) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(make(), indent=1, ensure_ascii=True) + "\n")
    print(f"made {path.relative_to(GOLDEN)}")


def _event_file(base: FabricState, pair: tuple[ev.Event, ev.Event]) -> Json:
    records: list[Json] = []
    for what, event in zip(("full", "bare"), pair, strict=True):
        entry = recorded(event)
        records.append(
            {
                "record": what,
                "event": explicit(event),
                "entry": ev.encode_entry(entry).hex(),
                "state": digest(apply(base, entry)),
            }
        )
    return {"kind": ev.kind_of(pair[0]), "records": records}


def _entry_file() -> Json:
    event = ev.NamespaceCreated(name="green")
    full = ev.Entry(
        time_ms=RECORD_MS,
        principal="token:admin",
        events=(event,),
        namespace="blue",
        correlation="r-1",
        idempotency_key="k-1",
        fingerprint="sha256:1",
        result={"name": "green", "number": 1},
    )
    entries = {"full": full, "bare": recorded(event)}
    return {name: {"entry": explicit(entry), "bytes": ev.encode_entry(entry).hex()} for name, entry in entries.items()}


def history() -> list[ev.Entry]:
    """A long life of a small fabric, with every kind of event in it."""
    kinds = {str(kind.__struct_config__.tag) for kind in ev.EVENT_TYPES}
    for seed in range(100):
        entries = _life(seed)
        if kinds == {ev.kind_of(event) for entry in entries for event in entry.events}:
            return entries
    raise AssertionError("no life of these has every kind of event")


def _life(seed: int) -> list[ev.Entry]:
    from tests.property.fabric.world import World

    world = World(random.Random(seed))
    fabric = world.fabric
    world.steps(700)
    fabric.given(cm.CreateNamespace(name="golden"), cm.DeleteNamespace(name="golden"))
    # Remembered answers of this turn and the one before it.
    for key in ("first", "second"):
        fabric.given(cm.CreateNamespace(name=key), idempotency_key=key, fingerprint="sha256:1")
        fabric.pass_ms(TURN_MS)
    world.steps(200)
    world.come_to_rest()
    for _, node in sorted(fabric.nodes.items()):
        if node.session and node.running():
            node.set_health(node.running()[0], Health.UNHEALTHY)
            assert fabric.send(node.name).accepted
    return fabric.log


def richest(entries: list[ev.Entry]) -> int:
    """The revision at which the state has most to be written: strays, remembered answers, all kinds of objects."""
    state, best, best_score = empty_state(), 0, -1
    for entry in entries:
        state = apply(state, entry)
        strays = sum(len(agent.strays) for agent in state.agents.values())
        strays += sum(len(job.strays) for job in state.jobs.values())
        memory = state.idempotency
        score = 10 * bool(strays) + 10 * bool(memory.recent) + 10 * bool(memory.older) + bool(state.draining)
        score += 5 * bool(state.jobs) + 5 * bool(state.agents) + 5 * bool(state.pending) + len(state.instances)
        if score > best_score:
            best, best_score = state.revision, score
    return best


def _history_file() -> Json:
    entries = history()
    states: Json = {}
    state = empty_state()
    for entry in entries:
        state = apply(state, entry)
        if state.revision % EVERY == 0 or state.revision == len(entries):
            states[str(state.revision)] = digest(state)
    return {"states": states, "entries": [ev.encode_entry(entry).hex() for entry in entries]}


def _snapshot_file() -> Json:
    entries = read_entries(HISTORY)
    revision = richest(entries)
    chunks = list(dump(fold(entries[:revision])))
    records = [record for chunk in chunks for record in msgspec.msgpack.decode(chunk)]
    return {"revision": revision, "chunks": [chunk.hex() for chunk in chunks], "records": records}


def _provisions_file() -> Json:
    from tests.support.spec import Fabric

    fabric = Fabric()
    values = {"digest": "hmac-sha256:k:1", "blob": "sha256:1", "size": 3}
    other = {"digest": "hmac-sha256:k:2", "blob": "sha256:2", "size": 4}
    fabric.given(cm.SetSecret(id="s-1", namespace="default", name="db", **values))  # type: ignore[arg-type]
    fabric.given(cm.SetConfig(id="c-1", namespace="default", name="db", **values))  # type: ignore[arg-type]
    fabric.given(cm.SetSecret(id="s-1", namespace="default", name="db", **other))  # type: ignore[arg-type]
    fabric.given(cm.SetSecret(id="s-2", namespace="default", name="gone", **values))  # type: ignore[arg-type]
    fabric.given(cm.SetConfig(id="c-2", namespace="default", name="gone", **values))  # type: ignore[arg-type]
    fabric.given(cm.RemoveSecret(namespace="default", name="gone"))
    fabric.given(cm.RemoveConfig(namespace="default", name="gone"))
    chunks = list(dump(fabric.state))
    return {
        "entries": [ev.encode_entry(entry).hex() for entry in fabric.log],
        "state": digest(fabric.state),
        "chunks": [chunk.hex() for chunk in chunks],
        "records": [record for chunk in chunks for record in msgspec.msgpack.decode(chunk)],
    }


def _lifecycle_file() -> Json:
    from tests.support.spec import Fabric, spec

    from omnitide.model.provisions import Volume
    from omnitide.model.spec import Update

    fabric = Fabric()
    fabric.join("alpha", "beta")
    surge = Update(max_unavailable=0, max_surge=1)
    fabric.deploy(spec("serve", "1", update=surge), replicas=2)
    fabric.deploy(spec("db", volumes={"data": Volume(target="data")}), name="db")
    fabric.settle()
    fabric.given(cm.MigrateInstance(instance="hello.1.1", node="beta"))
    fabric.round()
    fabric.wait_for_rollouts()
    fabric.settle()
    fabric.given(cm.StopAgent(namespace="default", name="db"))
    fabric.settle()
    fabric.deploy(spec("serve", "2", update=surge))
    fabric.given(cm.PauseRollout(namespace="default", name="hello"))
    fabric.settle()
    fabric.given(cm.ResumeRollout(namespace="default", name="hello"))
    fabric.settle()
    fabric.given(cm.RollBackAgent(namespace="default", name="hello"))
    fabric.given(cm.PauseRollout(namespace="default", name="hello"))
    fabric.round()
    chunks = list(dump(fabric.state))
    return {
        "entries": [ev.encode_entry(entry).hex() for entry in fabric.log],
        "state": digest(fabric.state),
        "chunks": [chunk.hex() for chunk in chunks],
        "records": [record for chunk in chunks for record in msgspec.msgpack.decode(chunk)],
    }


def main() -> None:
    from tests.unit.fabric.golden_samples import SAMPLES, base

    _write(BASE, lambda: {"entries": [ev.encode_entry(entry).hex() for entry in base()]})
    state = fold(read_entries(BASE))
    for pair in SAMPLES:
        _write(EVENTS / f"{ev.kind_of(pair[0])}.json", lambda pair=pair: _event_file(state, pair))
    _write(ENTRY, _entry_file)
    _write(HISTORY, _history_file)
    _write(SNAPSHOT, _snapshot_file)
    _write(PROVISIONS, _provisions_file)
    _write(LIFECYCLE, _lifecycle_file)


if __name__ == "__main__":
    main()
