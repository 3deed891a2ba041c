"""`top`: what the cursor is on stays what it is, in the overview too, and is opened from there."""

from tests.support.memory_runtime import MemoryRuntime
from tests.unit.cli.top.seeing import Seen
from tests.unit.cli.top.test_top_event_fold import exited, happened

from omnitide.cli.top.screens import Detail
from omnitide.fabric import commands as cm
from omnitide.model.happenings import CloudEvent
from omnitide.model.spec import AgentSpec, Resources


async def test_tab_goes_through_the_pages_from_the_overview_on(seen: Seen) -> None:
    for title in ("[2 Nodes", "[3 Agents", "[4 Instances", "[5 Events", "[6 Jobs", "[1 Overview"):
        await seen.press("tab")
        await seen.until(title)
    await seen.press("shift+tab")
    await seen.until("[6 Jobs")


def never_fits(runtime: MemoryRuntime, name: str) -> None:
    """One of its replicas: each fills a node, and there are two."""
    spec = AgentSpec(command=("x",), resources=Resources(cpu=3000))
    runtime.apply(cm.DeployAgent(agent=name, namespace="default", name=name, spec=spec, replicas=3))
    runtime.settle()
    runtime.tick(60_000)


def opened(seen: Seen) -> str:
    screen = seen.top.screen
    return screen.target.name if isinstance(screen, Detail) else ""


async def test_enter_opens_what_a_concern_is_about(seen: Seen) -> None:
    seen.runtime.silence("beta")
    never_fits(seen.runtime, "huge")
    await seen.until("2 things want your eye")
    await seen.press("enter")
    await seen.until(lambda: opened(seen) == "beta")
    await seen.press("escape")
    await seen.press("down", "enter")
    await seen.until(lambda: opened(seen) == "huge")


async def test_the_cursor_stays_on_its_concern(seen: Seen) -> None:
    never_fits(seen.runtime, "huge")
    await seen.until("1 thing wants your eye")
    seen.runtime.silence("beta")  # stands before it
    await seen.until("2 things want your eye")
    await seen.press("enter")
    await seen.until(lambda: opened(seen) == "huge")


async def test_enter_where_all_is_well_opens_nothing(seen: Seen) -> None:
    await seen.until("All is well")
    await seen.press("down", "enter")
    assert seen.top.screen is seen.top.screen_stack[0]


async def show_events(seen: Seen, events: list[CloudEvent], cursor: int) -> None:
    await seen.press("5")
    rows = seen.top.rows("event")
    seen.top.scene.events.clear()
    seen.top.scene.events.extend(events)
    rows.rebuild()
    rows.go_to(rows.ids.index(seen.top.scene.event_rows[events[cursor].id]))


def revision(seen: Seen) -> int:
    one = seen.top.rows("event").one
    assert isinstance(one, CloudEvent)
    return one.revision


async def test_the_cursor_stays_on_an_event_that_comes_to_be_told_with_others(seen: Seen) -> None:
    other = happened("node.joined", 3, "node/alpha")
    await show_events(seen, [exited(1), exited(2), other], 1)
    assert revision(seen) == 2
    seen.top.scene.events.append(exited(4))
    seen.top.rows("event").rebuild()
    assert revision(seen) == 4, "the three of them are one row"


async def test_the_cursor_goes_to_no_other_row_whose_like_was_forgotten(seen: Seen) -> None:
    scaled = happened("agent.scaled", 4, "agent/default/web", agent="a-web", replicas=3)
    again = happened("agent.scaled", 8, "agent/default/web", agent="a-web", replicas=3)
    first, second = [exited(1), exited(2), exited(3)], [exited(5), exited(6), exited(7)]
    await show_events(seen, [*first, scaled, *second, again, exited(9), exited(10), exited(11)], 5)
    assert revision(seen) == 7
    for _ in first:
        seen.top.scene.events.popleft()
    seen.top.rows("event").rebuild()
    assert revision(seen) == 7
