"""The first page: is all well, what needs a person, what there is, what changed. Also what `--once` prints."""

from collections import Counter
from collections.abc import Callable
from itertools import zip_longest
from typing import Final, NamedTuple

from rich.cells import cell_len

from omnitide.cli.happenings.wording import subject_of
from omnitide.cli.top.details import chart_lines, has_values
from omnitide.cli.top.event_table import EVENTS, at_ms, event_tone, times_and_words
from omnitide.cli.top.figures import bar, cores, percent, plural, size
from omnitide.cli.top.lines import EMPTY, Cell, Line, cut, cut_name, fit, line, mark, told, width_of, wrap
from omnitide.cli.top.scene import Capacity, Scene, capacity
from omnitide.cli.top.words import RANK, State, Tone, agent_state, node_state, span, there, visible
from omnitide.model.inventory import WHOLE

CONCERNS: Final = 20
TALLY: Final = 17
"""Columns that a number of things takes, with its noun."""
CAPACITY: Final = 9
LEAST_BAR: Final = 8
MOST_BAR: Final = 30
TEXT: Final = 24
"""So much of what happened has room beside the name of what it happened to."""


def verdict(scene: Scene) -> tuple[Tone, str, str]:
    """How all is, and what follows from it."""
    status = scene.status
    if not scene.view.filled or status is None:
        return "off", "Asking Nexus", ""
    concerns = scene.concerns
    if concerns and concerns[0].subject == WHOLE:
        # Whatever else is amiss follows from it, or matters less.
        text, _, more = concerns[0].text.partition(": ")
        return "bad", f"{text[:1].upper()}{text[1:]}", more
    if concerns:
        count = len(concerns)
        more = "each with where to look"
        if len(status.concerns) >= CONCERNS:
            more = "of the twenty most pressing of all" if scene.namespace else "the twenty most pressing"
        return "wait", f"{plural(count, 'thing')} want{'s' if count == 1 else ''} your eye", more
    if not status.nodes.live:
        return "wait", "No node is live", "nothing can run until one joins: omnitide token create"
    if scene.namespace and not (scene.agents() or scene.jobs() or scene.instances()):
        return "good", "All is well", f"and namespace {scene.namespace} has nothing yet"
    running = sum(count for (_, text), count in scene.instance_states().items() if text == "running")
    return "good", "All is well", f"{plural(running, 'instance')} on {plural(status.nodes.live, 'live node')}"


def tally(noun: str, counts: Counter[tuple[Tone, str]], width: int) -> list[Line]:
    """`12 nodes   ✖ 1 lost   ● 11 live`: the worst first; what finds no room there stands in a further line.

    What has ended is not of those that there are, and stands behind them.
    """
    lines: list[Line] = []
    # A node that is lost has not ended.
    whole = there(counts) if noun == "instance" else counts.total()
    cells = [Cell(fit(plural(whole, noun), TALLY), "strong")]
    gap = ""
    for (tone, text), count in sorted(counts.items(), key=lambda item: (RANK[item[0][0]], item[0][1])):
        more = (mark(tone), Cell(f" {count} {text}", "" if tone in ("good", "off") else tone))
        if gap and width_of([*cells, *more]) + len(gap) > width:
            lines.append(tuple(cells))
            cells, gap = [Cell(" " * TALLY)], ""
        cells += [Cell(gap), *more]
        gap = "   "
    return [*lines, tuple(cells)]


class _Room(NamedTuple):
    """Of one thing that nodes have."""

    name: str
    used: int
    told: int
    """What those nodes have that said how much they use."""
    reserved: int
    whole: int
    form: Callable[[float], str]

    def use(self, found: Capacity) -> str:
        if not found.told:
            return "asking the nodes" if found.asking else "no node tells" if found.nodes else "no live node"
        of_whom = f" of {found.told} of {found.nodes} nodes" if found.told < found.nodes else ""
        return f"{percent(self.used, self.told):>4} used, {self.form(self.used)}{of_whom}"

    def rest(self, *, short: bool) -> str:
        aside = "" if short else f"   {percent(self.reserved, self.whole)} set aside, {self.form(self.reserved)}"
        return f"{aside}   of {self.form(self.whole)}"


def capacity_lines(found: Capacity, width: int) -> list[Line]:
    """The bar gives way first, then what is set aside: figures are whole or not there."""
    rooms = (
        _Room("cpu", found.used_cpu_milli, found.told_cpu_milli, found.reserved_cpu_milli, found.cpu_milli, cores),
        _Room(
            "memory",
            found.used_memory_bytes,
            found.told_memory_bytes,
            found.reserved_memory_bytes,
            found.memory_bytes,
            size,
        ),
    )
    uses = [one.use(found) for one in rooms]
    wide = max(map(len, uses))
    short, left = False, 0
    for short in (False, True):
        left = width - CAPACITY - 1 - wide - max(len(one.rest(short=short)) for one in rooms)
        if left >= LEAST_BAR:
            break
    bars = max(0, min(MOST_BAR, left))
    return [
        line(
            Cell(f"{one.name:<{CAPACITY}}", "strong"),
            Cell(bar(one.used, one.told, bars), "busy" if found.told else "soft"),
            f" {use:<{wide}}",
            Cell(one.rest(short=short), "soft"),
        )
        for one, use in zip(rooms, uses, strict=True)
    ]


def concern_lines(scene: Scene, width: int) -> list[list[Line]]:
    """Of each concern."""
    all_: list[list[Line]] = []
    for concern in scene.concerns:
        found: list[Line] = []
        tone: Tone = "bad" if concern.subject == WHOLE else "wait"
        age = span(scene.now_ms - concern.since_ms) if concern.since_ms else ""
        # Some say it themselves.
        since = f"  {age}" if age and age not in concern.text.replace(" ", "") else ""
        first, *more = wrap(visible(concern.text), max(20, width - 4 - len(since)))
        subject = cut_name(visible(concern.subject), max(12, width // 2))
        if width_of(line(subject, first, since)) + 4 <= width:
            found.append(line(mark(tone), Cell(f" {subject} ", "strong"), first, Cell(since, "soft")))
        else:
            found.append(line(mark(tone), Cell(f" {subject}", "strong"), Cell(since, "soft")))
            more = [first, *more]
        found += [line(f"  {text}") for text in more]
        if concern.hint:
            found += [line(Cell(text, "soft")) for text in wrap(visible(concern.hint), width, "    ")]
        all_.append(found)
    return all_


def change_lines(scene: Scene, width: int, count: int) -> list[Line]:
    """The newest first."""
    found: list[Line] = []
    events = list(EVENTS.objects(scene).values())[-count:] if count > 0 else []
    subjects = {event.id: visible(subject_of(event)) for event in events}
    room = min(max(12, width - 12 - TEXT), max(map(cell_len, subjects.values()), default=0))
    for event in reversed(events):
        age = fit(span(scene.now_ms - at_ms(event.time)), 6, right=True)
        subject = fit(cut_name(subjects[event.id], room), room)
        text = cut(times_and_words(event, scene), max(10, width - 12 - room))
        found.append(line(Cell(f"{age}  ", "soft"), mark(event_tone(event)), f" {subject}  ", Cell(text, "soft")))
    return found


HEADED: Final = 3
"""Lines before the first concern."""


def overview_lines(scene: Scene, width: int, height: int) -> list[Line]:
    """What is wrong comes first; what there is room for comes last."""
    view = scene.view
    tone, text, more = verdict(scene)
    lines: list[Line] = [line(told(State(tone, text)), Cell(f"   {visible(more)}" if more else "", "soft"))]
    concerns = [one for lines in concern_lines(scene, width) for one in lines]
    if concerns:
        lines += [EMPTY, line(Cell("WHAT NEEDS YOU", "soft")), *concerns]
    if not view.filled:
        return lines
    lines += [
        EMPTY,
        *tally("node", scene.tally("node", lambda: map(node_state, view.nodes.values())), width),
        *tally("agent", scene.tally("agent", lambda: (agent_state(view.agents[key]) for key in scene.agents())), width),
        *tally("instance", scene.instance_states(), width),
    ]
    lines += _jobs(scene)
    found = capacity(scene)
    lines += [EMPTY, *capacity_lines(found, width)]
    lines += _charts(scene, found, width)
    lines += [EMPTY, line(Cell("WHAT CHANGED", "soft"))]
    return [*lines, *(change_lines(scene, width, max(4, min(200, height - len(lines)))) or [line("  nothing yet")])]


def _jobs(scene: Scene) -> list[Line]:
    status = scene.status
    if status is None:
        return []
    count, active, failed = status.jobs, status.jobs_active, status.jobs_failed
    if scene.namespace:
        statuses = Counter(scene.view.jobs[key].status for key in scene.jobs())
        count, active, failed = statuses.total(), statuses["active"], statuses["failed"]
    if not count:
        return []
    more = f", {failed} failed" if failed else ""
    return [line(Cell(fit(plural(count, "job"), TALLY), "strong"), f"{active} active{more}")]


def _charts(scene: Scene, found: Capacity, width: int) -> list[Line]:
    cpu, memory = scene.charts.get("cpu"), scene.charts.get("memory")
    if cpu is None or memory is None or not (has_values(cpu) or has_values(memory)):
        return []
    each = max(30, (width - 3) // 2)
    now_ms = scene.now_ms
    # The same figures as beside the bars, where all nodes have told theirs.
    whole = found.told > 0 and found.told == found.nodes
    cpu_now, memory_now = (found.used_cpu_milli / 1000, float(found.used_memory_bytes)) if whole else (None, None)
    left = chart_lines(
        "CPU, cores", cpu, each, 3, found.cpu_milli / 1000, lambda value: cores(value * 1000), now_ms, cpu_now
    )
    right = chart_lines("Memory", memory, each, 3, float(found.memory_bytes), size, now_ms, memory_now)
    if width < 2 * each + 3:
        return [EMPTY, *left, EMPTY, *right]
    rows = zip_longest(left, right, fillvalue=EMPTY)
    return [EMPTY, *((*one, Cell(" " * (each + 3 - width_of(one))), *other) for one, other in rows)]
