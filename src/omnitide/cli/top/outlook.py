"""What would come of an action, as Nexus sees it beforehand, in words (web/src/actions/outlook.ts has the same)."""

from collections.abc import Sequence
from typing import Final

from omnitide.cli.show import foreseen
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
_TONES: Final[dict[Fate, Tone]] = {
    "waits": "bad",
    "stays": "wait",
    "unheard": "unknown",
    "blocked": "wait",
    "stops": "off",
    "moves": "busy",
    "renews": "busy",
    "starts": "good",
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
    found = [line(mark(_TONES[fate]), f" {text}") for fate, text in foreseen.fates(outlook)]
    found += _said("good", foreseen.kept(outlook))
    reasons = dict.fromkeys(one.why for one in outlook.replicas if one.why)
    found += [line(Cell(f"  {visible(why)}", "soft")) for why in list(reasons)[:REASONS]]
    if len(reasons) > REASONS:
        found.append(line(Cell(f"  and {plural(len(reasons) - REASONS, 'further reason')}", "soft")))
    found += _said("wait" if outlook.finished else "unknown", foreseen.held(outlook))
    found += _said("off", foreseen.tasks(outlook))
    found += _said("off", foreseen.lost(outlook))
    found += _said("unknown", foreseen.unseen(outlook))
    if not outlook.finished:
        found.append(line(Cell("  and it goes on for longer than was looked ahead", "soft")))
    return found or [line(mark("good"), " nothing would move or stop")]


def _said(tone: Tone, text: str) -> list[Line]:
    return [line(mark(tone), f" {text}")] if text else []
