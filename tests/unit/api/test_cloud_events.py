"""The log as CloudEvents: one for each thing that an event is about, always with the same id, findable by subject."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.fabric.events import EVENT_TYPES, AgentRemoved, Entry, decode_entry, kind_of
from omnitide.fabric.state import TokenPurpose
from omnitide.model.happenings import EventPage
from omnitide.model.spec import AgentSpec, JobSpec, Port, Resources
from omnitide.operations.failures import Failed
from omnitide.operations.happenings.filters import Selection, make_filter
from omnitide.operations.happenings.known import KnownNames
from omnitide.operations.happenings.translate import Happening, Translator
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY


def translate(runtime: MemoryRuntime) -> list[Happening]:
    translator = Translator(runtime.log_id(), runtime.state.fabric_id, KnownNames(runtime.state))
    return [one for entry in enumerate(runtime.log, start=1) for one in translator.translate(entry)]


def lively() -> MemoryRuntime:
    """A fabric in which something has happened."""
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.apply(
        cm.DeployAgent(
            agent="agent-1",
            namespace="default",
            name="hello",
            spec=AgentSpec(command=("x",), ports={"http": Port()}, resources=Resources(cpu=500)),
            replicas=2,
        ),
        correlation="c-7",
    )
    runtime.settle()
    runtime.exit("agent-1.1.1", code=1)
    runtime.settle()
    runtime.apply(cm.RunJob(job="job-1", namespace="default", name="once", spec=JobSpec(command=("true",))))
    runtime.settle()
    runtime.exit("job-1.1.1", code=0)
    return runtime


async def listed(runtime: MemoryRuntime, **fields: Any) -> EventPage:
    declaration = REGISTRY["events.list"]
    context = Context(principal="system:test", correlation="c")
    return (await perform(declaration, runtime, context, declaration.input(**fields))).value  # type: ignore[arg-type]


def test_events_are_cloud_events() -> None:
    for happening in translate(lively()):
        event = json.loads(happening.json)
        assert event["specversion"] == "1.0"
        assert all(event[name] for name in ("id", "source", "type", "subject", "time"))
        assert all(name.isalnum() and name == name.lower() for name in event)
        assert event["type"].startswith("omnitide.")


def test_ids_are_unique_and_the_same_each_time() -> None:
    runtime = lively()
    first, second = translate(runtime), translate(runtime)
    ids = [one.event.id for one in first]
    assert len(set(ids)) == len(ids)
    assert [one.event for one in second] == [one.event for one in first]
    assert ids[0] == "log-1/1.1"


def test_an_event_about_many_instances_becomes_one_for_each() -> None:
    placed = [one.event for one in translate(lively()) if one.kind == "instance.placed.v1"]
    assert [one.subject for one in placed[:2]] == ["instance/default/hello-1.1", "instance/default/hello-2.1"]
    assert placed[0].revision == placed[1].revision
    assert placed[0].data["node_name"] == "alpha"
    assert placed[0].data["ports"] == {"http": 20000}


def test_who_and_why_are_on_each_event() -> None:
    events = [one.event for one in translate(lively()) if one.event.correlation == "c-7"]
    assert {one.type for one in events} >= {"omnitide.agent.created.v1", "omnitide.instance.created.v1"}
    assert {one.principal for one in events} == {"system:test"}


def test_what_a_node_told_of_an_instance_names_that_node_also_when_the_instance_is_forgotten() -> None:
    runtime = lively()
    forgotten = MemoryRuntime().state
    forgotten = replace(forgotten, nodes=runtime.state.nodes, node_names=runtime.state.node_names)
    translator = Translator(runtime.log_id(), "f", KnownNames(forgotten))
    told = [one for entry in enumerate(runtime.log, start=1) for one in translator.translate(entry)]
    kinds = {"instance.starting.v1", "instance.running.v1", "instance.exited.v1", "instance.ended.v1"}
    of_nodes = [one for one in told if one.kind in kinds]
    assert {one.kind for one in of_nodes} == kinds
    assert {one.event.data.get("node_name") for one in of_nodes} == {"alpha"}
    assert all("node/alpha" in one.concerns for one in of_nodes)


def test_a_spec_in_an_event_is_in_the_units_of_the_api() -> None:
    created = next(one.event for one in translate(lively()) if one.kind == "agent.created.v1")
    assert created.data["spec"]["resources"] == {"cpu": 0.5}  # type: ignore[index]


def test_no_event_shows_a_tokens_digest() -> None:
    runtime = lively()
    runtime.apply(cm.IssueToken(id="t1", purpose=TokenPurpose.API, digest="sha256:secret"))
    issued = [one for one in translate(runtime) if one.kind == "token.issued.v1"]
    assert issued
    assert all(b"digest" not in one.json and b"sha256:secret" not in one.json for one in issued)


def kinds_about(runtime: MemoryRuntime, subject: str) -> set[str]:
    wanted = make_filter((), "", subject)
    return {one.kind.removesuffix(".v1") for one in Selection(translate(runtime)).of(wanted)}


def test_an_agents_events_include_those_of_its_instances_and_no_others() -> None:
    kinds = kinds_about(lively(), "agent/default/hello")
    assert kinds == {
        "agent.created",
        "instance.created",
        "instance.placed",
        "instance.starting",
        "instance.running",
        "instance.exited",
    }


def test_a_nodes_events_include_what_happens_there() -> None:
    assert kinds_about(lively(), "node/alpha") >= {"node.joined", "instance.placed", "instance.exited"}


def test_filters_take_whole_words_of_a_kind() -> None:
    happenings = translate(lively())

    def kinds(*wanted: str) -> set[str]:
        return {one.kind for one in Selection(happenings).of(make_filter(wanted, "", ""))}

    assert kinds("agent") == {"agent.created.v1"}
    assert kinds("omnitide.agent.created.v1") == {"agent.created.v1"}
    assert kinds("agent.creat") == set()
    assert kinds("job", "token") == {"job.created.v1", "job.finished.v1", "token.issued.v1", "token.used.v1"}


def test_a_namespace_has_no_events_of_nodes_and_tokens() -> None:
    happenings = translate(lively())
    shown = {one.event.subject.partition("/")[0] for one in Selection(happenings).of(make_filter((), "default", ""))}
    assert shown == {"agent", "instance", "job", "namespace"}


def test_one_meaning_is_one_filter() -> None:
    assert make_filter(("b", "omnitide.a", "b"), "", "") == make_filter(("a", "b"), "", "")


def golden_entries() -> list[Entry]:
    """Of every kind of event that was ever released, with every field of it set."""
    folder = Path(__file__).parents[1] / "fabric" / "golden" / "events"
    records = [record for file in sorted(folder.glob("*.json")) for record in json.loads(file.read_text())["records"]]
    return [decode_entry(bytes.fromhex(record["entry"])) for record in records if record["record"] == "full"]


def test_every_kind_of_event_can_be_translated() -> None:
    """Also one that speaks of what nobody knows any more."""
    entries = golden_entries()
    assert {type(event) for entry in entries for event in entry.events} == set(EVENT_TYPES)
    translator = Translator("log-1", "home", KnownNames(MemoryRuntime().state))
    for entry in entries:
        happenings = list(translator.translate((1, entry)))
        assert happenings
        assert all(json.loads(one.json)["subject"] for one in happenings)


def test_what_is_removed_keeps_its_name_in_the_event_of_its_removal() -> None:
    runtime = lively()
    before = runtime.state
    runtime.apply(cm.DeleteAgent(namespace="default", name="hello"))
    runtime.settle()
    assert "agent-1" not in runtime.state.agents
    names = KnownNames(before)
    names.move_to(runtime.state)
    translator = Translator("log-1", "home", names)
    entries = list(enumerate(runtime.log, start=1))[before.revision :]
    removed = [one for entry in entries for one in translator.translate(entry) if one.kind == "agent.removed.v1"]
    assert [one.event.subject for one in removed] == ["agent/default/hello"]


def removals() -> MemoryRuntime:
    """An agent, a job and a node that were there are removed."""
    runtime = lively()
    runtime.apply(cm.DeleteAgent(namespace="default", name="hello"))
    runtime.settle()
    runtime.apply(cm.DeleteJob(namespace="default", name="once"))
    runtime.apply(cm.RemoveNode(node="alpha", force=True))
    return runtime


@pytest.mark.parametrize("kind", ["agent", "job", "node"])
def test_the_event_of_a_removal_names_what_was_removed_whoever_reads_it_and_whenever(kind: str) -> None:
    runtime = removals()
    (entry,) = [
        one
        for one in enumerate(runtime.log, start=1)
        if any(kind_of(event) == f"{kind}.removed.v1" for event in one[1].events)
    ]
    translator = Translator("log-1", "home", KnownNames(runtime.state))
    (removed,) = [one for one in translator.translate(entry) if one.kind == f"{kind}.removed.v1"]
    namespace, name = {"agent": ("default", "hello"), "job": ("default", "once"), "node": ("", "alpha")}[kind]
    assert removed.event.subject == "/".join(part for part in (kind, namespace, name) if part)
    assert removed.event.data["name"] == name
    assert removed.namespace == namespace
    if namespace:
        assert removed.event.data["namespace"] == namespace


async def test_what_happened_to_it_before_is_told_by_its_name_too() -> None:
    page = await listed(removals(), last=1000, subject="agent/default/hello")
    kinds = [one.type.removeprefix("omnitide.").removesuffix(".v1") for one in page.items]
    assert kinds[0] == "agent.created"
    assert kinds[-1] == "agent.removed"
    late = await listed(removals(), last=8)
    assert not [one.subject for one in late.items if "/-/" in one.subject]


def test_a_removal_of_the_first_days_has_no_name_and_is_called_by_its_id() -> None:
    entry = Entry(time_ms=1, principal="system:test", events=(AgentRemoved(agent="agent-1"),))
    translator = Translator("log-1", "home", KnownNames(MemoryRuntime().state))
    assert [one.event.subject for one in translator.translate((1, entry))] == ["agent/-/agent-1"]


# -- old events, a page at a time ------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
async def test_pages_of_events_make_the_whole(limit: int) -> None:
    runtime = lively()
    whole = [one.event for one in translate(runtime)]
    found: list[Any] = []
    after, skip = 0, 0
    while True:
        page = await listed(runtime, after=after, skip=skip, limit=limit)
        found += page.items
        if not page.more:
            break
        after, skip = page.next_after, page.next_skip
    assert [one.id for one in found] == [one.id for one in whole]
    assert page.next_after == runtime.state.revision


async def test_pages_of_events_make_the_whole_with_a_filter_too() -> None:
    runtime = lively()
    wanted = make_filter(("instance.running",), "", "")
    whole = [one.event.id for one in translate(runtime) if wanted.admits(one)]
    found: list[str] = []
    after, skip = 0, 0
    while True:
        page = await listed(runtime, after=after, skip=skip, limit=1, kinds=("instance.running",))
        found += [one.id for one in page.items]
        if not page.more:
            break
        after, skip = page.next_after, page.next_skip
    assert found == whole


@pytest.mark.parametrize("count", [1, 3, 1000])
async def test_the_newest_events(count: int) -> None:
    runtime = lively()
    whole = [one.event.id for one in translate(runtime)]
    page = await listed(runtime, last=count)
    assert [one.id for one in page.items] == whole[-count:]
    assert page.next_after == runtime.state.revision


async def test_events_that_are_no_longer_kept_are_told_of() -> None:
    runtime = lively()
    runtime.trim(5)
    with pytest.raises(Failed) as caught:
        await listed(runtime, after=2)
    assert (caught.value.problem.code, caught.value.problem.status) == ("trimmed", 410)
    assert caught.value.problem.first_revision == 5
    newest = await listed(runtime, last=1000)
    assert newest.items[0].revision == 5


async def test_a_page_looks_at_a_bounded_part_of_the_log_and_says_where_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from omnitide.operations.happenings import search

    monkeypatch.setattr(search, "SEARCHED_ENTRIES", 3)
    monkeypatch.setattr(search, "_CHUNK", 3)
    runtime = lively()
    page = await listed(runtime, kinds=("job.finished",))
    assert (page.items, page.next_after, page.more) == ((), 3, True)


@pytest.mark.parametrize(
    "kind", ["instance", "agent.created", "agent.created.v1", "omnitide.node", "node.drain-started"]
)
async def test_a_kind_is_named_by_words_from_the_left(kind: str) -> None:
    await listed(lively(), kinds=(kind,))


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("zzz", "there are agent, config, fabric, instance, job, namespace, node, secret, token"),
        ("instnace", "did you mean 'instance'?"),
        ("agent.craeted", "did you mean 'agent.created'? there are agent.created, agent.deleted"),
        ("agent.created.v99", "did you mean 'agent.created.v1'?"),
        ("agen", "did you mean 'agent'?"),
    ],
)
async def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are(kind: str, hint: str) -> None:
    """A filter for it would find nothing, for ever, and say nothing."""
    with pytest.raises(Failed) as caught:
        await listed(lively(), kinds=("agent", kind))
    (fault,) = caught.value.problem.errors
    assert (caught.value.problem.code, fault.field) == ("invalid", "kinds[1]")
    assert hint in fault.hint


async def test_a_revision_of_another_log_is_refused_though_this_one_has_come_further() -> None:
    runtime = lively()
    page = await listed(runtime, after=3, log=runtime.log_id(), limit=1)
    log, _, _ = page.items[0].id.rpartition("/")
    assert log == runtime.log_id()
    with pytest.raises(Failed) as caught:
        await listed(runtime, after=3, log="log-before-the-restore")
    problem = caught.value.problem
    assert (problem.code, problem.resume_revision) == ("unknown-revision", runtime.state.revision)
