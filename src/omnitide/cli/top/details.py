"""One node, agent or instance: what it is, its charts, how it ended last, what happened to it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len

from omnitide.cli.happenings.wording import ASKED_FOR, subject_of
from omnitide.cli.top.event_table import at_ms, clock, event_tone, event_words, of_interest, place_of
from omnitide.cli.top.figures import cores, plot, plural, size
from omnitide.cli.top.lines import EMPTY, Cell, Line, cut, cut_name, fit, line, mark, told, wrapped
from omnitide.cli.top.listing import natural
from omnitide.cli.top.scene import TELLING, Scene
from omnitide.cli.top.tables import full_name
from omnitide.cli.top.targets import Target, name_of
from omnitide.cli.top.words import RANK, agent_state, instance_state, node_since_ms, node_state, span, visible
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Node
from omnitide.model.metrics import MetricAnswer
from omnitide.model.objects import AgentSummary, Instance, InstanceExit

SPAN_MS: Final = 890_000
"""A little less than what is kept by the second: what begins before that is by the minute."""
SHOWN: Final = 8
"""Instances of an object; their page has all."""
EVENTS: Final = 30
OWN: Final = 8
"""So many of the newest events are of the object itself, and not of what belongs to it."""
FACT: Final = 13
"""Columns of the name of a fact."""
NAME: Final = 28
"""Columns that the name of an instance may have however narrow the screen is."""
HEIGHT: Final = 4
LATE_MS: Final = 6_000
"""A node that is looked at sends each second, and is asked of every three: what is older than this is not of now."""


class Chart(NamedTuple):
    key: str
    title: str
    selector: str
    top: float
    """The most that there is; 0: not known."""
    form: Callable[[float], str]


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """For `query_metrics`, with whatever may be in a name."""

    def quoted(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    pairs = [f'{key}="{quoted(value)}"' for key, value in labels.items()]
    return f"{metric}{{{','.join(pairs)}}}" if pairs else metric


def _cores(value: float) -> str:
    return cores(value * 1000)


FABRIC_CHARTS: Final = (
    Chart("cpu", "CPU, cores", "omnitide_node_cpu_used_seconds_total", 0.0, _cores),
    Chart("memory", "Memory", "omnitide_node_memory_used_bytes", 0.0, size),
)


def charts_of(target: Target) -> tuple[Chart, ...]:
    if isinstance(target, Node):
        labels = {"node": target.name}
        return (
            Chart(
                "cpu",
                "CPU, cores",
                selector("omnitide_node_cpu_used_seconds_total", labels),
                target.cpu_milli / 1000,
                _cores,
            ),
            Chart(
                "memory",
                "Memory",
                selector("omnitide_node_memory_used_bytes", labels),
                float(target.memory_bytes),
                size,
            ),
        )
    labels = {"namespace": target.namespace}
    labels = {**labels, "agent": target.name} if isinstance(target, AgentSummary) else {"instance_id": target.id}
    return (
        Chart("cpu", "CPU, cores", selector("omnitide_instance_cpu_seconds_total", labels), 0.0, _cores),
        Chart("memory", "Memory", selector("omnitide_instance_memory_working_set_bytes", labels), 0.0, size),
    )


def has_values(answer: MetricAnswer) -> bool:
    return any(value is not None for one in answer.items for value in one.values)


def chart_lines(
    title: str,
    answer: MetricAnswer,
    width: int,
    height: int,
    top: float,
    form: Callable[[float], str],
    now_ms: int,
    current: float | None = None,
) -> list[Line]:
    """Its title with what it is now, or was when it was last known, and was at most; below it the curve, up to then.

    `current`: what it is now, where that is known from elsewhere: a sum of many nodes has to wait for the last of them.
    `now_ms`: by Nexus's clock. Its right edge is now, however old the answer is, and wherever it was asked to end.
    """
    answered: Sequence[float | None] = answer.items[0].values if answer.items else ()
    values = _until_now(answered, now_ms - answer.start_ms, answer.step_ms)
    known = [value for value in values if value is not None]
    minutes = len(values) * answer.step_ms // 60_000
    if not known:
        head = line(Cell(cut(f"{title}: nothing was sampled in the last {minutes or 15} min", width), "soft"))
        return [head]
    most = max(known if current is None else [*known, current])
    ceiling = top if top > 0 else most * 1.1
    of = f" of {form(top)}" if top > 0 else ""
    newest = max(index for index, value in enumerate(answered) if value is not None)
    # From the end of its step, which is still to come where that is of now.
    old_ms = now_ms - answer.start_ms - (newest + 1) * answer.step_ms
    late = f" {span(old_ms)} ago" if old_ms > LATE_MS and current is None else ""
    now = f"{'' if late else ' now'} {form(known[-1] if current is None else current)}"
    # The longest that is whole.
    peak = f", at most {form(most)}"
    heads = (f"{of}{late}{peak} in {minutes} min", f"{late}{peak}", f"{of}{late}", late)
    room = width - len(title) - len(now)
    head = now + next((one for one in heads if len(one) <= room), "")
    rows = plot(values, width, height, ceiling)
    return [
        line(Cell(title, "strong"), Cell(cut(head, width - len(title)), "soft")),
        *(line(Cell(row, "busy")) for row in rows),
    ]


def _until_now(values: Sequence[float | None], span_ms: int, step_ms: int) -> Sequence[float | None]:
    """As many steps, the last of them now. `span_ms`: from the first of them until now."""
    missing = max(0, span_ms // step_ms - len(values))
    return (*values, *(None,) * missing)[missing:]


def _fact(name: str, *cells: Cell | str) -> Line:
    return line(Cell(f"{name:<{FACT}}", "soft"), *cells)


def _ending(one: InstanceExit, scene: Scene) -> str:
    when = f", {span(scene.now_ms - one.ended_ms)} ago" if one.ended_ms else ""
    cause = f" ({one.cause})" if one.cause else ""
    asked = "stopped by request: " if one.reason in ASKED_FOR else ""
    return visible(f"{asked}{one.text or one.reason}{cause}{when}")


def facts(target: Target, scene: Scene) -> list[Line]:
    if isinstance(target, Node):
        return _node_facts(target, scene)
    return _agent_facts(target, scene) if isinstance(target, AgentSummary) else _instance_facts(target, scene)


def _node_facts(node: Node, scene: Scene) -> list[Line]:
    telling = node.status in TELLING
    use = scene.view.use.get(node.id) if telling else None
    since = node_since_ms(node)
    # What it said last of them is that it goes.
    gone = bool(node.stopped_ms) or not telling
    drivers = ", ".join(
        f"{one.name}{'' if one.healthy or gone else f' (unwell: {one.detail})'}"
        for one in node.drivers
        if not one.absent
    )
    found = [
        _fact("state", told(node_state(node)), f" for {span(scene.now_ms - since)}" if since else ""),
        _fact(
            "uses",
            f"cpu {cores(use[0])} of {cores(node.cpu_milli)}, memory {size(use[1])} of {size(node.memory_bytes)}",
        )
        if use
        else _fact("uses", Cell("not known", "unknown")),
        _fact("set aside", f"cpu {cores(node.reserved_cpu_milli)}, memory {size(node.reserved_memory_bytes)}"),
        _fact("runs", plural(node.instances, "instance"))
        if telling or not node.instances
        else _fact("runs", Cell("not known", "unknown"), _were_there(node.instances)),
        _fact("drivers", visible(drivers) or "none"),
        _fact("platform", visible(", ".join(f"{key} {value}" for key, value in sorted(node.platform.items())))),
        _fact("labels", visible(" ".join(f"{key}={value}" for key, value in sorted(node.labels.items()))) or "none"),
        _fact("address", visible(node.address or node.session_address) or "not known"),
        _fact("software", visible(node.software)),
    ]
    if node.clock_ahead_ms:
        apart = f"{span(abs(node.clock_ahead_ms))} {'ahead of' if node.clock_ahead_ms > 0 else 'behind'} Nexus's"
        found.insert(1, _fact("clock", Cell(apart, "wait")))
    if node.unknown_since_ms:
        silent = (
            f"nothing has been heard of it for {span(scene.now_ms - node.unknown_since_ms)}: what it runs is unknown"
        )
        found.insert(1, _fact("", Cell(silent, "unknown")))
    return found


def _were_there(count: int) -> str:
    return f"; {plural(count, 'instance')} {'was' if count == 1 else 'were'} there"


def _agent_facts(agent: AgentSummary, scene: Scene) -> list[Line]:
    counts = agent.counts
    states = [f"{getattr(counts, name)} {name}" for name in counts.__struct_fields__ if getattr(counts, name)]
    return [
        _fact("state", told(agent_state(agent))),
        _fact("replicas", f"{agent.running} of {agent.replicas} running, set by {visible(agent.replicas_owner)}"),
        _fact("instances", ", ".join(states) or "none"),
        _fact("version", f"v{agent.version}"),
        _fact(
            "each has", f"cpu {cores(agent.cpu_milli)}, memory {size(agent.memory_bytes)} by {visible(agent.driver)}"
        ),
        _fact("labels", visible(" ".join(f"{key}={value}" for key, value in sorted(agent.labels.items()))) or "none"),
        _fact("made", f"{span(scene.now_ms - agent.created_ms)} ago"),
    ]


def _instance_facts(one: Instance, scene: Scene) -> list[Line]:
    state = instance_state(one)
    found = [
        _fact("state", told(state), f"{',' if state.more else ''} for {span(scene.now_ms - one.since_ms)}"),
        _fact("of", f"{one.kind} {visible(one.workload)} v{one.version}, slot {one.slot}, generation {one.generation}"),
        _fact("on", visible(one.node) or "no node yet", f"   {visible(one.handle)}"),
        _fact("attempt", str(one.attempt)),
        _fact("health", one.health, f"  {visible(one.health_message)}" if one.health_message else ""),
    ]
    if one.urls:
        found.append(_fact("reached at", visible("  ".join(one.urls.values()))))
    if one.exit is not None:
        found.append(_fact("ended last", Cell(_ending(one.exit, scene), "bad" if one.status == "failed" else "")))
    if one.previous_exit is not None:
        found.append(_fact("before that", _ending(one.previous_exit, scene)))
    if one.unenforced:
        found.append(_fact("not enforced", Cell(visible(", ".join(one.unenforced)), "wait")))
    return found


def subject(target: Target) -> str:
    """As events name it."""
    if isinstance(target, Node):
        return f"node/{target.name}"
    return f"{'agent' if isinstance(target, AgentSummary) else 'instance'}/{target.namespace}/{target.name}"


def _concerned(event: CloudEvent, target: Target) -> bool:
    if isinstance(target, Node):
        return event.subject == subject(target) or event.data.get("node_name") == target.name
    if isinstance(target, AgentSummary):
        kind, _, rest = event.subject.partition("/")
        # `hello-2.1`: an agent's name, slot and generation.
        workload = rest.rpartition("-")[0]
        return event.subject == subject(target) or (
            kind == "instance" and workload == f"{target.namespace}/{target.name}"
        )
    return event.subject == subject(target)


def detail_lines(
    target: Target,
    scene: Scene,
    charts: Mapping[str, MetricAnswer],
    width: int,
    *,
    before: Sequence[Line] = (),
    events: Sequence[CloudEvent] = (),
) -> list[Line]:
    """`before`: what stands between what it is and its charts. `events`: of it, from before those of the scene."""
    lines = [row for one in facts(target, scene) for row in wrapped(one, width, FACT)]
    lines += before
    for chart in charts_of(target):
        answer = charts.get(chart.key)
        if answer is not None:
            now_ms = scene.now_ms
            lines += [EMPTY, *chart_lines(chart.title, answer, width, HEIGHT, chart.top, chart.form, now_ms)]
    if not isinstance(target, Instance):
        mine = scene.on_node(target.id) if isinstance(target, Node) else scene.of_agent(target.id)
        mine.sort(key=lambda one: (RANK[instance_state(one).tone], natural(full_name(one))))
        lines += [EMPTY, line(Cell(f"INSTANCES, {len(mine)}", "soft"))]
        names = [visible(full_name(one)) for one in mine[:SHOWN]]
        room = min(max(map(cell_len, names), default=0), max(NAME, width // 2))
        for one, name in zip(mine, names, strict=False):
            where = visible(one.node) if isinstance(target, AgentSummary) else ""
            state = line(
                f"  {fit(cut_name(name, room), room)}  ", told(instance_state(one)), Cell(f"  {where}", "soft")
            )
            lines += wrapped(state, width, room + 6)
        if len(mine) > SHOWN:
            lines.append(line(Cell(f"  and {len(mine) - SHOWN} more: i", "soft")))
    known = {event.id: event for event in (*events, *scene.events) if of_interest(event) and _concerned(event, target)}
    lines += [EMPTY, line(Cell("WHAT HAPPENED", "soft"))]
    newest = sorted(known.values(), key=place_of, reverse=True)
    # Of a node that is lost its instances tell so much that what it told itself would be out of sight.
    own = [event for event in newest if event.subject == subject(target)][:OWN]
    others = [event for event in newest if event not in own][: EVENTS - len(own)]
    for event in sorted((*own, *others), key=place_of, reverse=True):
        name = f"{visible(subject_of(event))} " if event.subject != subject(target) else ""
        when = Cell(f"  {clock(at_ms(event.time))} ", "soft")
        whole = line(when, mark(event_tone(event)), f" {name}{event_words(event)}")
        lines += wrapped(whole, width, len(when.text) + 2)
    return lines if known else [*lines, line(Cell("  nothing that is still known here", "soft"))]


def title_of(target: Target) -> str:
    kind = "node" if isinstance(target, Node) else "agent" if isinstance(target, AgentSummary) else "instance"
    return f"{kind} {visible(name_of(target))}"
