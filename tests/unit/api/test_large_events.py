"""Old events where entries are large: reads of the log come back short, and one entry holds thousands of events."""

from typing import Any

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.fabric.events import Entry
from omnitide.model.happenings import EventPage
from omnitide.model.spec import AgentSpec
from omnitide.operations.happenings import known, search, translate
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY

MANY = 3000


class ShortReads(MemoryRuntime):
    """A log whose reads are bounded in events, as those of a real one are in bytes: at least one entry, if there is."""

    bound = 500

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def entries(self, after: int, limit: int) -> list[tuple[int, Entry]]:
        self.reads += 1
        found = await super().entries(after, limit)
        size, taken = 0, 0
        while taken < len(found) and (taken == 0 or size + translate.count(found[taken][1]) <= self.bound):
            size += translate.count(found[taken][1])
            taken += 1
        return found[:taken]


def scaled_up_and_down(after: int = 20) -> ShortReads:
    runtime = ShortReads()
    runtime.apply(
        cm.DeployAgent(
            agent="agent-1", namespace="default", name="hello", spec=AgentSpec(command=("serve",)), replicas=1
        )
    )
    runtime.apply(cm.ScaleAgent(namespace="default", name="hello", replicas=MANY))
    runtime.apply(cm.ScaleAgent(namespace="default", name="hello", replicas=2))
    for number in range(after):
        runtime.apply(cm.CreateNamespace(name=f"after-{number}"))
    return runtime


async def listed(runtime: MemoryRuntime, **fields: Any) -> EventPage:
    declaration = REGISTRY["events.list"]
    context = Context(principal="system:test", correlation="c")
    return (await perform(declaration, runtime, context, declaration.input(**fields))).value  # type: ignore[arg-type]


async def pages(runtime: MemoryRuntime, limit: int, **fields: Any) -> list[EventPage]:
    found: list[EventPage] = []
    after, skip = 0, 0
    while True:
        page = await listed(runtime, after=after, skip=skip, limit=limit, **fields)
        found.append(page)
        if not page.more:
            return found
        assert (page.next_after, page.next_skip) > (after, skip), "each page gets further"
        after, skip = page.next_after, page.next_skip


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events were made, whoever was shown them."""
    number = [0]
    original = translate.Happening.__init__

    def count(self: translate.Happening, *arguments: Any, **named: Any) -> None:
        number[0] += 1
        original(self, *arguments, **named)

    monkeypatch.setattr(translate.Happening, "__init__", count)
    return number


@pytest.mark.parametrize("after", [1, 3, 20, 400])
async def test_the_newest_events_are_the_newest_whatever_large_entries_lie_before_them(after: int) -> None:
    runtime = scaled_up_and_down(after)
    page = await listed(runtime, last=2)
    assert [one.subject for one in page.items][-1] == f"namespace/after-{after - 1}"
    assert page.items[-1].revision == runtime.state.revision
    assert len(page.items) == 2


async def test_the_newest_of_one_large_entry_are_its_last() -> None:
    runtime = scaled_up_and_down(0)
    whole = [one for page in await pages(runtime, 1000) for one in page.items]
    page = await listed(runtime, last=7)
    assert [one.id for one in page.items] == [one.id for one in whole[-7:]]


async def test_the_newest_few_do_not_make_the_rest_of_a_large_entry(made: list[int]) -> None:
    runtime = scaled_up_and_down(1)
    await listed(runtime, last=5)
    assert 0 < made[0] <= 1000


async def test_pages_through_large_entries_make_each_event_once_and_show_all(made: list[int]) -> None:
    runtime = scaled_up_and_down()
    total = sum(translate.count(entry) for entry in runtime.log)
    assert total > 2 * MANY
    found = await pages(runtime, 100)
    ids = [one.id for page in found for one in page.items]
    assert len(ids) == len(set(ids)) == total
    assert made[0] <= total + 2 * len(found), "the one after a page is made to know of it; never all that came before"


async def test_a_page_that_finds_nothing_stops_within_a_large_entry_and_goes_on_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "SEARCHED_EVENTS", 1000)
    runtime = scaled_up_and_down()
    found = await pages(runtime, 1000, kinds=("namespace.created",))
    assert len(found) > 5
    assert any(page.next_skip for page in found)
    names = [one.subject for page in found for one in page.items]
    assert names[-20:] == [f"namespace/after-{number}" for number in range(20)]


async def test_what_was_removed_much_later_is_called_by_its_name(made: list[int]) -> None:
    runtime = scaled_up_and_down(after=600)
    runtime.apply(cm.DeleteAgent(namespace="default", name="hello"))
    assert "agent-1" not in runtime.state.agents
    # Not from its beginning: only the event of its removal tells the name.
    first = 3
    page = await listed(runtime, after=first - 1, limit=10)
    assert {one.subject.rpartition("/")[0] for one in page.items[1:]} == {"instance/default"}
    assert page.items[1].subject.startswith("instance/default/hello-")
    reads = runtime.reads
    for skip in range(10, 100, 10):
        page = await listed(runtime, after=first - 1, skip=skip, limit=10)
        assert all(one.subject.startswith("instance/default/hello-") for one in page.items)
    assert runtime.reads - reads <= 2 * 10, "what was looked through once is not read again"


async def test_the_look_ahead_is_bounded_and_gets_further_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "LOOKED_THROUGH", 100)
    monkeypatch.setattr(known, "_CHUNK", 100)
    runtime = scaled_up_and_down(after=350)
    runtime.apply(cm.DeleteAgent(namespace="default", name="hello"))
    subjects: list[str] = []
    for _ in range(5):
        page = await listed(runtime, after=2, skip=1, limit=1)
        subjects.append(page.items[0].subject)
    assert subjects[0] == "instance/-/agent-1-2.1"
    assert subjects[-1] == "instance/default/hello-2.1"
