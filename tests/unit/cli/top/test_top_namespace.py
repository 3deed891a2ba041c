"""`top -n NAME`: what is of that namespace, and what is of all."""

from msgspec.structs import replace
from tests.unit.cli.top.scenes import NOW_MS, agent, event, node, scene

from omnitide.cli.top.bars import said, tabs
from omnitide.cli.top.event_table import EVENTS
from omnitide.cli.top.lines import printed
from omnitide.cli.top.overview import concern_lines, overview_lines, verdict
from omnitide.cli.top.picture import picture_lines
from omnitide.cli.top.scene import Scene
from omnitide.model.inventory import Concern
from omnitide.model.objects import JobSummary

CONCERNS = (
    Concern(subject="node alpha", text="not heard from for 9 s"),
    Concern(subject="clock", text="has jumped ahead"),
    Concern(subject="agent office/sync", text="1 of 1 end again and again"),
    Concern(subject="agent shop/web", text="1 pending for 29 s"),
    Concern(subject="job shop/nightly", text="1 pending for 30 s"),
)


def troubled(namespace: str) -> Scene:
    found = scene(node("alpha"), agent("web", namespace="shop"), agent("sync", namespace="office"), namespace=namespace)
    assert found.status is not None
    found.status = replace(found.status, concerns=CONCERNS, jobs=2, jobs_active=2)
    for of in ("shop", "office"):
        job = JobSummary(
            id=f"j-{of}", namespace=of, name="nightly", status="active", driver="process", created_ms=NOW_MS, revision=1
        )
        found.view.jobs[job.id] = job
    return found


def test_concerns_are_of_the_namespace_or_of_the_whole_fabric() -> None:
    assert [one.subject for one in troubled("").concerns] == [one.subject for one in CONCERNS]
    assert [one.subject for one in troubled("shop").concerns] == [
        "node alpha",
        "clock",
        "agent shop/web",
        "job shop/nightly",
    ]
    shown = troubled("shop")
    assert verdict(shown)[1] == "4 things want your eye"
    text = printed(overview_lines(shown, 78, 24), color=False)
    assert "office/sync" not in text
    assert "1 job            1 active" in text
    assert "!4 " in "".join(cell.text for _, cells in tabs(shown, "overview", 100) for cell in cells)


def test_what_happened_is_of_the_namespace_and_of_nodes() -> None:
    shown = troubled("shop")
    shown.events.extend(
        [
            event("agent.created", "agent/shop/web", 1),
            event("agent.created", "agent/office/sync", 2),
            event("agent.created", "agent/shop-eu/web", 3),
            event("node.lost", "node/alpha", 4),
            event("node.reported", "node/alpha", 5),
        ]
    )
    assert [one.subject for one in EVENTS.objects(shown).values()] == ["agent/shop/web", "node/alpha"]


def test_a_namespace_is_named_with_what_is_not_of_it() -> None:
    assert "namespace shop, and all nodes" in printed(picture_lines(troubled("shop"), 100), color=False)
    assert "namespace shop, and all nodes" in printed([said(None, "shop")], color=False)
    assert "namespace" not in printed([said(None, "")], color=False)


def test_an_empty_namespace_is_not_shown_as_a_fabric_without_work() -> None:
    assert verdict(scene(node("alpha"), agent("web"), namespace="empty"))[2] == "and namespace empty has nothing yet"


def test_that_no_node_is_live_is_the_verdict_whatever_else_there_is() -> None:
    found = scene(node("alpha", status="lost"), agent("web"))
    assert found.status is not None
    dead = Concern(subject="fabric", text="no node is live: nothing runs that is known of", hint="omnitide nodes")
    found.status = replace(found.status, concerns=(dead, *CONCERNS))
    assert verdict(found) == ("bad", "No node is live", "nothing runs that is known of")
    assert "bad" in {cell.style for cell in concern_lines(found, 78)[0][0]}
    assert "bad" in {cell.style for _, cells in tabs(found, "overview", 100) for cell in cells}
