"""What would come of an action, as Nexus sees it beforehand, in words (web/src/actions/outlook.ts has the same)."""

from collections.abc import Callable, Sequence
from typing import Final

from omnitide.cli.show.outlook import held, lost
from omnitide.cli.top.action import Action, Input
from omnitide.cli.top.figures import plural
from omnitide.cli.top.lines import Cell, Line, line, mark
from omnitide.cli.top.targets import Target
from omnitide.cli.top.words import Tone, visible
from omnitide.model.foreseen import Fate, Outlook
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary

MOST: Final = 500
"""A question takes no more changes."""
REASONS: Final = 20
"""Different ones; who wants the rest asks for fewer replicas."""
_FORESEEN: Final = frozenset(
    {
        "agent.scale",
        "agent.restart",
        "agent.rollback",
        "agent.stop",
        "agent.start",
        "agent.remove",
        "instance.restart",
        "instance.migrate",
        "node.drain",
        "node.remove",
    }
)
_WORDS: Final[dict[Fate, tuple[Tone, Callable[[int], str]]]] = {
    "waits": ("bad", lambda count: f"{plural(count, 'replica')} would fit nowhere and wait"),
    "stays": ("wait", lambda count: f"{plural(count, 'replica')} would fit on no other node and stay"),
    "unheard": (
        "unknown",
        lambda count: (
            f"{plural(count, 'replica')} would not hear of it and stay: "
            f"nothing is heard from {'its' if count == 1 else 'their'} node"
        ),
    ),
    "blocked": (
        "wait",
        lambda count: f"{plural(count, 'replica')} would stay: the update lets no more be away at once",
    ),
    "stops": ("off", lambda count: f"{plural(count, 'replica')} would stop"),
    "moves": ("busy", lambda count: f"{plural(count, 'replica')} would move"),
    "renews": ("busy", lambda count: f"{plural(count, 'replica')} would be replaced on the same node"),
    "starts": ("good", lambda count: f"{plural(count, 'replica')} would start"),
}


def wanted_changes(action: Action, targets: Sequence[Target], said: Input) -> list[dict[str, str | int]]:
    """What Nexus is asked; empty for actions that move and end nothing."""
    if action.id not in _FORESEEN or len(targets) > MOST:
        return []
    return [_wanted(action, target, said) for target in targets]


def _wanted(action: Action, target: Target, said: Input) -> dict[str, str | int]:
    if isinstance(target, AgentSummary):
        change: dict[str, str | int] = {"verb": action.id, "name": target.name, "namespace": target.namespace}
        if action.ask == "replicas":
            change["replicas"] = said.replicas
        if action.ask == "version":
            change["version"] = said.version
        return change
    if isinstance(target, Node):
        return {"verb": action.id, "name": target.id}
    return {"verb": action.id, "name": target.id, "node": said.node}


def outlook_lines(outlook: Outlook) -> list[Line]:
    """A sentence for each fate that there is, the worst first, and why what fits nowhere does not."""
    found: list[Line] = []
    for fate, (tone, word) in _WORDS.items():
        if outlook.counts.get(fate):
            found.append(line(mark(tone), f" {word(outlook.counts[fate])}"))
    if outlook.kept:
        as_is = "it is" if outlook.kept == 1 else "they are"
        found.append(line(mark("good"), f" {plural(outlook.kept, 'replica')} would be kept as {as_is}"))
    reasons = dict.fromkeys(one.why for one in outlook.replicas if one.why)
    found += [line(Cell(f"  {visible(why)}", "soft")) for why in list(reasons)[:REASONS]]
    if len(reasons) > REASONS:
        found.append(line(Cell(f"  and {plural(len(reasons) - REASONS, 'further reason')}", "soft")))
    if outlook.held:
        found.append(line(mark("wait" if outlook.finished else "unknown"), f" {held(outlook)}"))
    if outlook.tasks:
        verb = "runs to its" if outlook.tasks == 1 else "run to their"
        found.append(line(mark("off"), f" {plural(outlook.tasks, 'task')} of jobs {verb} end there"))
    if outlook.lost:
        found.append(line(mark("off"), f" {lost(outlook)}"))
    if outlook.unseen:
        found.append(
            line(mark("unknown"), f" {plural(outlook.unseen, 'further replica')} were not looked at: too many")
        )
    if not outlook.finished:
        found.append(line(Cell("  and it goes on for longer than was looked ahead", "soft")))
    return found or [line(mark("good"), " nothing would move or stop")]
