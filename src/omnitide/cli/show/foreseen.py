"""What would come of a change, in sentences that all of the command line says (web/src/actions/outlook.ts has the
same). Of what there is none, the sentence is empty."""

from typing import TYPE_CHECKING, Final

from omnitide.cli.show.words import plural

if TYPE_CHECKING:
    from omnitide.model.foreseen import Fate, Outlook

_FATES: Final[tuple[tuple["Fate", str, str], ...]] = (
    ("waits", "would fit nowhere and wait", ""),
    ("stays", "would fit on no other node and stay", ""),
    (
        "unheard",
        "would not hear of it and stay: nothing is heard from its node",
        "would not hear of it and stay: nothing is heard from their node",
    ),
    ("blocked", "would stay: the update lets no more be away at once", ""),
    ("stops", "would stop", ""),
    ("moves", "would move", ""),
    ("renews", "would be replaced on the same node", ""),
    ("starts", "would start", ""),
)
"""The worst first. Of one replica, and of several where that is said otherwise."""


def fates(outlook: "Outlook") -> list[tuple["Fate", str]]:
    """Of each fate that there is, the worst first."""
    found: list[tuple[Fate, str]] = []
    for fate, one, more in _FATES:
        count = outlook.counts.get(fate, 0)
        if count:
            found.append((fate, f"{plural(count, 'replica')} {one if count == 1 else more or one}"))
    return found


def kept(outlook: "Outlook") -> str:
    if not outlook.kept:
        return ""
    return f"{plural(outlook.kept, 'replica')} would be kept as {'it is' if outlook.kept == 1 else 'they are'}"


def held(outlook: "Outlook") -> str:
    """Of replicas that what was foreseen leaves at the version before, or does not reach."""
    if not outlook.held:
        return ""
    if outlook.finished:
        return f"{plural(outlook.held, 'replica')} would stay at the version before"
    return f"{outlook.held} more {'replica was' if outlook.held == 1 else 'replicas were'} not looked ahead to"


def tasks(outlook: "Outlook") -> str:
    if not outlook.tasks:
        return ""
    verb = "runs to its" if outlook.tasks == 1 else "run to their"
    return f"{plural(outlook.tasks, 'task')} of jobs {verb} end there"


def lost(outlook: "Outlook") -> str:
    """Of replicas that are lost on a node that is to be drained."""
    if not outlook.lost:
        return ""
    are, them = ("is", "it") if outlook.lost == 1 else ("are", "them")
    return f"{plural(outlook.lost, 'replica')} there {are} lost already: what replaces {them} does so anyway"


def unseen(outlook: "Outlook") -> str:
    return f"{plural(outlook.unseen, 'further replica')} were not looked at: too many" if outlook.unseen else ""
