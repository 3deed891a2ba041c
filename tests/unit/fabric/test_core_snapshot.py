"""Snapshots: the whole state and nothing else, in chunks of a bounded size, or a clear refusal."""

import enum
from collections.abc import Callable

import msgspec
import pytest
from tests.support.honest import facts
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric import snapshot
from omnitide.fabric.records import (
    AgentRecord,
    EndRecord,
    HeaderRecord,
    InstanceItem,
    JobRecord,
    NodeRecord,
    SlotItem,
)
from omnitide.fabric.snapshot import CHUNK_BYTES, SnapshotDamaged, digest, dump, load
from omnitide.fabric.state import Agent, FabricState, Health, Instance, Job, Node, Slot, empty_state
from omnitide.model.probes import Probe, Probes
from omnitide.model.spec import Port

Records = list[dict[str, object]]


@pytest.fixture(scope="module")
def state() -> FabricState:
    """Something of everything: strays, pending ones, foreign ports, a drain, an answer to a key."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.join("gamma", node_facts=facts(labels={"zone": "z1", "disk": "ssd"}))
    fabric.deploy(spec(ports={"http": Port()}), replicas=3)
    fabric.place(hello_1_1="alpha", hello_2_1="beta", hello_3_1="gamma")
    fabric.settle()
    fabric.given(cm.RestartAgent(namespace="default", name="hello"))
    fabric.run()
    fabric.place(work_1_1="alpha")
    fabric.given(cm.DrainNode(node="alpha"))
    fabric.lose("beta")
    fabric.exit("hello.3.1", cause="port-busy", message="20000")
    fabric.given(cm.CreateNamespace(name="blue"), idempotency_key="k", fingerprint="f")
    session = fabric.node("gamma").session
    stop = cm.DepartNode(node="n-gamma", session=session, reason="stopped", back_within_ms=5_000, stopped=True)
    fabric.given(stop, by="node:n-gamma")
    return fabric.state


def records(state: FabricState) -> Records:
    return [record for chunk in dump(state) for record in msgspec.msgpack.decode(chunk)]


def chunks(made: Records) -> list[bytes]:
    return [msgspec.msgpack.encode(made)]


def refusal(made: list[bytes]) -> SnapshotDamaged:
    with pytest.raises(SnapshotDamaged) as raised:
        load(made)
    return raised.value


@pytest.mark.parametrize("code", [0, 1])
def test_since_when_it_was_ready_is_kept_of_what_has_ended(code: int) -> None:
    """It was ready as soon as it ran; its health is not known any more."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.run()
    fabric.place()
    node = fabric.nodes["alpha"]
    node.desire(fabric.state)
    node.runs["work.1.1"].health = Health.HEALTHY
    node.step()
    fabric.send("alpha")
    ran = fabric.instance("work.1.1")
    assert 0 < ran.ready_ms == ran.started_ms
    assert load(list(dump(fabric.state))) == fabric.state
    fabric.exit("work.1.1", code=code)
    assert fabric.instance("work.1.1").ready_ms == ran.ready_ms
    loaded = load(list(dump(fabric.state)))
    assert (loaded, digest(loaded)) == (fabric.state, digest(fabric.state))


def test_what_is_loaded_is_what_was_dumped(state: FabricState) -> None:
    assert load(dump(state)) == state
    assert digest(load(dump(state))) == digest(state)


def test_of_one_that_was_ready_at_once_and_ended_too() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec(health=Probes(readiness=Probe(type="exec", command=("true",)))))
    fabric.place(hello_1_1="alpha")
    fabric.nodes["alpha"].desire(fabric.state)
    fabric.nodes["alpha"].set_health("hello.1.1", Health.HEALTHY)
    fabric.settle()
    (ready,) = fabric.state.instances.values()
    assert ready.ready_ms == ready.started_ms
    fabric.nodes["alpha"].set_health("hello.1.1", Health.UNHEALTHY)
    fabric.pass_ms(5_000)
    fabric.send("alpha")
    (unwell,) = fabric.state.instances.values()
    assert unwell.unready_ms >= ready.ready_ms + 5_000
    assert load(dump(fabric.state)) == fabric.state
    fabric.exit("hello.1.1")
    (ended,) = fabric.state.instances.values()
    assert (ended.status.value, ended.ready_ms, ended.unready_ms) == ("starting", 0, 0)
    assert load(dump(fabric.state)) == fabric.state


def test_of_a_fabric_that_does_not_exist_yet_too() -> None:
    assert load(dump(empty_state())) == empty_state()


def test_the_digest_tells_states_apart(state: FabricState) -> None:
    assert digest(state).startswith("sha256:")
    changed = msgspec.structs.replace(state, time_ms=state.time_ms + 1)
    assert digest(changed) != digest(state)


@pytest.mark.parametrize(
    ("kept", "record", "made_anew", "only_there"),
    [
        (Node, NodeRecord, {"instances", "ports"}, {"foreign_ports"}),
        (Agent, AgentRecord, {"versions", "slots", "strays", "superseded", "watched", "failed", "homes"}, set()),
        (Job, JobRecord, {"strays"}, set()),
        (Slot, SlotItem, set(), {"number"}),
        (Instance, InstanceItem, {"id", "namespace", "kind", "workload", "name"}, {"attached", "watched"}),
    ],
)
def test_every_field_of_the_state_has_its_place_in_a_record(
    kept: type, record: type, made_anew: set[str], only_there: set[str]
) -> None:
    """A field that is left out would be lost with the first restart from a snapshot."""
    assert set(kept.__struct_fields__) - made_anew == set(record.__struct_fields__) - only_there


def unusual(value: object, field: str) -> object:
    """Another value of the same kind, which is no default."""
    if isinstance(value, enum.Enum):
        members = list(type(value))
        return members[(members.index(value) + 1) % len(members)]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 7
    return f"{value}-{field}" if isinstance(value, str) else value


@pytest.mark.parametrize("what", ["nodes", "agents", "jobs", "instances"])
def test_every_field_of_an_object_comes_back(what: str, state: FabricState) -> None:
    """One after the other, for what `of` and `load` could forget of a record's fields."""
    fixed = {"id", "namespace", "kind", "workload", "name", "slot", "generation", "version", "node", "scheduling"}
    identifier = {"nodes": "n-gamma", "agents": "hello", "jobs": "work", "instances": "hello.3.2"}[what]
    objects = getattr(state, what)
    known = objects[identifier]
    changed = 0
    for field in known.__struct_fields__:
        other = unusual(getattr(known, field), field)
        if field in fixed or other == getattr(known, field) or (what == "instances" and field == "status"):
            continue
        odd = msgspec.structs.replace(known, **{field: other})
        made = msgspec.structs.replace(state, **{what: objects.set(identifier, odd)})
        assert getattr(load(dump(made)), what)[identifier] == odd, field
        changed += 1
    assert changed >= 5


def test_instances_of_one_workload_share_what_they_have_in_common(state: FabricState) -> None:
    loaded = load(dump(state))
    agent = loaded.agents["hello"]
    instance = loaded.instances["hello.1.1"]
    assert instance.workload is agent.id
    assert instance.namespace is agent.namespace
    assert instance.node is loaded.nodes["n-alpha"].id
    assert agent.versions[1].spec is agent.versions[2].spec


def test_records_come_in_a_fixed_order_between_header_and_end(state: FabricState) -> None:
    kinds = [str(record["kind"]) for record in records(state)]
    assert (kinds[0], kinds[-1]) == ("header.v1", "end.v1")
    order = ["namespace.v1", "token.v1", "node.v1", "agent.v1", "job.v1", "answers.v1"]
    firsts = [kinds.index(kind) for kind in order]
    assert firsts == sorted(firsts)


@pytest.fixture(scope="module")
def large() -> FabricState:
    fabric = Fabric(checked=False)
    for number in range(3):
        name = f"agent-{number}"
        for version in range(16):
            fabric.deploy(spec("serve", str(version), environment={"V": "x" * 20_000}), name=name, replicas=0)
        # Only now: each version before would make thousands of instances anew.
        fabric.given(cm.ScaleAgent(namespace="default", name=name, replicas=5_000))
    return fabric.state


class TestChunks:
    def test_none_is_larger_than_allowed(self, large: FabricState) -> None:
        sizes = [len(chunk) for chunk in dump(large)]
        assert len(sizes) >= 3
        assert max(sizes) <= CHUNK_BYTES
        assert load(dump(large)) == large

    def test_they_are_made_one_at_a_time_while_other_things_happen(self, large: FabricState) -> None:
        half_made = dump(large)
        first = next(half_made)
        # The state is immutable: whatever is decided meanwhile makes another.
        assert load([first, *half_made]) == large

    def test_a_record_larger_than_a_chunk_has_one_of_its_own(
        self, state: FabricState, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(snapshot, "CHUNK_BYTES", 10)
        assert len(list(dump(state))) == len(records(state))
        assert load(dump(state)) == state


Damage = Callable[[Records], Records]


def without(kind: str) -> Damage:
    return lambda made: [record for record in made if record["kind"] != kind]


def changed(of: str, /, **fields: object) -> Damage:
    return lambda made: [{**record, **fields} if record["kind"] == of else record for record in made]


DAMAGES: dict[str, tuple[Damage, str]] = {
    "empty": (lambda made: [], "it is empty"),
    "no header": (lambda made: made[1:], "it does not begin with its header"),
    "no end": (lambda made: made[:-1], "its end is missing"),
    "two headers": (lambda made: [made[0], *made], "a second header"),
    "something behind the end": (lambda made: [*made, made[1]], "something follows the end"),
    "a record left out": (lambda made: made[:1] + made[2:], "records of"),
    "a node less than counted": (changed("header.v1", nodes=4), "3 nodes of 4"),
    "an instance less than counted": (changed("header.v1", instances=99), "instances of 99"),
    "format of another release": (changed("header.v1", format=2), "it has format 2, this release reads 1"),
    "a kind of another release": (changed("node.v1", kind="node.v2"), "cannot be read: Invalid value 'node.v2'"),
    "a field of another release": (changed("node.v1", mood="good"), "cannot be read: Object contains unknown field"),
    "a value of another type": (changed("node.v1", session="x"), "cannot be read: Expected `int`"),
    "parts without their agent": (changed("agent-slots.v1", agent="other"), "a part of other is not behind it"),
    "instances of a node that is not there": (without("node.v1"), "which is not there"),
    "an instance twice": (
        lambda made: [r for record in made for r in ([record] * (1 + (record["kind"] == "instances.v1")))],
        "is there twice",
    ),
    "an agent without its version": (without("agent-version.v1"), "agent hello is not whole"),
    "an agent without its instances": (without("instances.v1"), "agent hello is not whole"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_not_whole_is_refused_with_the_reason(name: str, state: FabricState) -> None:
    damage, words = DAMAGES[name]
    assert words in str(refusal(chunks(damage(records(state)))))


def test_bytes_that_are_no_snapshot_are_refused_and_the_chunk_is_named(state: FabricState) -> None:
    whole = list(dump(state))
    cut = refusal([whole[0][:-1]])
    assert cut.chunk == 0
    for garbage in (b"", b"\xc1", b"hello", whole[0] + b"\x00"):
        assert refusal([*whole, garbage]).chunk == 1


def test_every_cut_of_a_snapshot_is_refused(state: FabricState) -> None:
    made = records(state)
    for length in range(len(made)):
        refusal(chunks(made[:length]))


def test_header_and_end_say_how_much_there_is(state: FabricState) -> None:
    made = records(state)
    header, end = msgspec.convert(made[0], HeaderRecord), msgspec.convert(made[-1], EndRecord)
    assert (header.nodes, header.agents, header.jobs) == (3, 1, 1)
    assert header.instances == end.instances == len(state.instances)
    assert end.records == len(made) - 1
