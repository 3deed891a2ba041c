"""One picture of the fabric, for `top --once`: of one revision, and with what wants an eye first."""

from typing import TYPE_CHECKING, Final, TypeVar

from omnitide.cli.top.details import FABRIC_CHARTS, SPAN_MS
from omnitide.cli.top.event_table import clock
from omnitide.cli.top.figures import plural
from omnitide.cli.top.following import STEP_MS, SUM_END_MS
from omnitide.cli.top.lines import EMPTY, Cell, Line, line
from omnitide.cli.top.listing import Filter, Table, chosen, head_cells, layout, measured, row_cells
from omnitide.cli.top.overview import overview_lines
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.tables import AGENTS, INSTANCES, NODES
from omnitide.cli.top.words import visible
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import FabricStatus, Node
from omnitide.model.objects import AgentSummary, Instance, Object

if TYPE_CHECKING:
    from omnitide.sdk.client import Client

T = TypeVar("T")

ROWS: Final = 10
EVENTS: Final = 60
PATIENCE_S: Final = 10.0


class Used(Object, frozen=True, kw_only=True):
    """How busy a node is."""

    cpu_milli: int
    memory_bytes: int


class Picture(Object, frozen=True, kw_only=True):
    """For programs: everything, in the order of the pages, those in trouble first."""

    revision: int
    time_ms: int
    status: FabricStatus
    nodes: tuple[Node, ...]
    use: dict[str, Used]
    """By id of the node."""
    agents: tuple[AgentSummary, ...]
    instances: tuple[Instance, ...]
    events: tuple[CloudEvent, ...]
    """The newest, oldest first."""


def take_scene(client: "Client", namespace: str = "") -> Scene:
    """Everything that a picture shows. Raises FabricError."""
    # The view begins with a snapshot that may have been made for another, and comes from there to what is.
    asked = client.get_fabric().revision
    with client.watch_view(patience_s=PATIENCE_S) as watch:
        for _ in watch:
            if watch.view.filled and watch.view.revision >= asked:
                break
        scene = Scene(watch.view, namespace)
    for node in client.nodes():
        if node.use is not None and node.id in scene.view.nodes:
            scene.view.use[node.id] = (node.use.cpu_milli, node.use.memory_bytes)
    scene.status = client.get_fabric()
    scene.now_ms = scene.status.time_ms
    scene.events.extend(client.list_events(last=EVENTS).items)
    for chart in FABRIC_CHARTS:
        scene.charts[chart.key] = client.query_metrics(
            chart.selector, start_ms=-SPAN_MS, end_ms=SUM_END_MS, step_ms=STEP_MS, by=("-",)
        )
    return scene


def picture_of(scene: Scene) -> Picture:
    assert scene.status is not None
    view = scene.view
    return Picture(
        revision=view.revision,
        time_ms=view.time_ms,
        status=scene.status,
        nodes=tuple(view.nodes[key] for key in _ordered(NODES, scene)),
        use={key: Used(cpu_milli=cpu, memory_bytes=memory) for key, (cpu, memory) in view.use.items()},
        agents=tuple(view.agents[key] for key in _ordered(AGENTS, scene)),
        instances=tuple(view.instances[key] for key in _ordered(INSTANCES, scene)),
        events=tuple(scene.events),
    )


def _ordered(table: Table[T], scene: Scene) -> list[str]:
    return chosen(table, scene, Filter(), table.first, turned=False)


def picture_lines(scene: Scene, width: int) -> list[Line]:
    status = scene.status
    demo = line(Cell("DEMO", "wait"), ": its machines are simulated, and what runs there is made up")
    name = visible(status.fabric_id) if status else ""
    return [
        line(Cell("omnitide ", "strong"), name, Cell(f"  r{scene.view.revision}  {clock(scene.now_ms)}", "soft")),
        *([demo] if scene.demo else []),
        *([line(Cell(f"namespace {visible(scene.namespace)}", "wait"), ", and all nodes")] if scene.namespace else []),
        *overview_lines(scene, width, 0),
        *_rows(NODES, scene, width),
        *_rows(AGENTS, scene, width),
        *_rows(INSTANCES, scene, width),
    ]


def _rows(table: Table[T], scene: Scene, width: int) -> list[Line]:
    """The first of a page: those that are worst off."""
    found = _ordered(table, scene)
    if not found:
        return []
    objects = table.objects(scene)
    shown = [objects[key] for key in found[:ROWS]]
    plan = layout(table.columns, width, measured(table.columns, shown, scene), table.first)
    rows = [row_cells(plan, one, scene) for one in shown]
    more = len(found) - ROWS
    rest = [line(Cell(f"and {plural(more, f'further {table.noun}')}", "soft"))] if more > 0 else []
    return [EMPTY, head_cells(plan, table.first, turned=False), *rows, *rest]
