"""What a state means, in the panel's words (web/src/words): a word and a sign, whose colour only repeats them."""

import re
from collections import Counter
from typing import Final, Literal, NamedTuple

from omnitide.cli.show.visible import visible
from omnitide.cli.show.words import has_left, only_waits, plural
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary, Instance, JobSummary
from omnitide.model.quantity import format_duration

Tone = Literal["good", "busy", "wait", "bad", "unknown", "off"]

_TONES: Final[dict[str, Tone]] = {
    "live": "good",
    "joined": "busy",
    "stalled": "wait",
    "unreachable": "bad",
    "lost": "bad",
    "running": "good",
    "progressing": "busy",
    "failing": "bad",
    "degraded": "bad",
    "removing": "wait",
    "stopped": "off",
    "unknown": "unknown",
    "pending": "wait",
    "placed": "busy",
    "starting": "busy",
    "waiting": "wait",
    "unhealthy": "bad",
    "stopping": "wait",
    "succeeded": "good",
    "failed": "bad",
    "active": "busy",
    "cancelled": "off",
}
RANK: Final[dict[Tone, int]] = {"bad": 0, "unknown": 1, "wait": 2, "busy": 3, "good": 4, "off": 5}
"""The worst first, as they are sorted."""
SIGNS: Final[dict[Tone, str]] = {"good": "●", "busy": "◐", "wait": "◌", "bad": "✖", "unknown": "?", "off": "○"}
_ENDED: Final = ("failed", "lost", "stopped", "succeeded")


def instances_words(there: int, ended: int) -> str:
    """`12 instances, and 1 that ended`: what has ended is counted apart."""
    return plural(there, "instance") + (f", and {ended} that ended" if ended else "")


class State(NamedTuple):
    tone: Tone
    text: str
    more: str = ""
    """What else there is to say of it."""

    @property
    def told(self) -> str:
        return f"{self.text}, {self.more}" if self.more else self.text


def tone_of(status: str) -> Tone:
    return _TONES.get(status, "unknown")


def node_state(node: Node) -> State:
    closed = "" if node.scheduling == "open" else node.scheduling
    if node.stopped_ms:
        # Whether or not it still counts as live: no return was announced, and nothing is amiss.
        return State(tone_of("stopped"), "stopped", ", ".join(filter(None, ("by its operator", closed))))
    if has_left(node):
        return State(tone_of("stopped"), "left", closed)
    away = bool(node.departing) and node.status == "live" and node.back_within_ms > 0
    leaving = node.departing if not away else ""
    # What one that is gone said last of its drivers is not what is the matter with it.
    gone = node.status in ("unreachable", "lost")
    unwell = [f"{one.name} is unwell" for one in node.drivers if not (gone or one.healthy or one.absent)]
    # What is live and all well has that word alone: in a tally it is not to stand beside another of another colour.
    if node.status != "live":
        text, *more = node.status, closed, f"leaving: {leaving}" if leaving else "", *unwell
    elif away:
        text, *more = "away", f"back within {format_duration(node.back_within_ms)}", closed, *unwell
    elif closed:
        text, *more = closed, f"leaving: {leaving}" if leaving else "", *unwell
    elif leaving:
        text, *more = "leaving", leaving, *unwell
    else:
        text, *more = "unwell" if unwell else "live", *unwell
    tone = "wait" if node.status == "live" and text != "live" else tone_of(node.status)
    return State(tone, text, ", ".join(one for one in more if one))


def node_since_ms(node: Node) -> int:
    """Since when it is as `node_state` says; 0: nobody knows."""
    if node.stopped_ms:
        return node.stopped_ms
    if node.status == "stalled":
        return node.stalled_since_ms
    text = node_state(node).text
    if text == "draining":
        return node.draining_since_ms
    return node.since_ms if text == node.status else 0


def agent_state(agent: AgentSummary) -> State:
    rollout, tone = agent.rollout, tone_of(agent.status)
    if rollout is not None and rollout.halted:
        # Another colour has another word: in a tally one word is of one colour.
        why = f"rollout halted: {rollout.halted}"
        return State("bad", agent.status, why) if tone == "bad" else State("bad", "halted", f"{agent.status}, {why}")
    more = ""
    if rollout is not None:
        more = f"rollout to v{rollout.version} paused" if rollout.paused else f"rolling out v{rollout.version}"
    elif agent.failing:
        least = "at least " if agent.failing_at_least else ""
        more = f"{least}{plural(agent.failing, 'replica')} end{'s' if agent.failing == 1 else ''} again and again"
    elif agent.status == "degraded":
        counts = (("failed", agent.counts.failed), ("pending", agent.counts.pending))
        more = ", ".join(f"{count} {word}" for word, count in counts if count)
    return State("wait", "waiting", more) if only_waits(agent) else State(tone, agent.status, more)


def instance_state(one: Instance) -> State:
    text = one.status if has_ended(one) else one.condition
    tone, more = tone_of(text), ""
    if one.condition == "unhealthy":
        more = one.health_message
    elif one.status == "unknown":
        more = one.unknown_because or f"was {one.last_status}"
    elif one.unknown_because:
        was = "failing" if one.failing else text
        tone, text, more = "wait", "away", f"was {was}, {one.unknown_because}"
    elif has_ended(one) and one.exit is not None:
        more = one.exit.text
    # Whether or not it runs at this moment: a list that says so every other second would say nothing.
    if one.failing and one.status != "unknown" and not one.unknown_because:
        said = (one.condition, f"ended {plural(one.ends, 'time')} in a row", more)
        return State("bad", "failing", ", ".join(part for part in said if part))
    return State(tone, text, more)


def has_ended(one: Instance) -> bool:
    """It is kept for its output and its exit, and comes to nothing any more."""
    return one.status in _ENDED


_ENDS: Final = (State("bad", "failed"), State("bad", "lost"), State("off", "ended"))
"""In a tally of instances, what has ended."""


def ended_as(one: Instance) -> State | None:
    """As what one that has ended is counted apart; None for one that has not. A replica of an agent that failed for
    good or is lost is missing, and said to be that; what a job's came to is told of the job."""
    if not has_ended(one):
        return None
    missing = one.kind == "agent" and tone_of(one.status) == "bad"
    return State("bad", one.status) if missing else State("off", "ended")


def ended(counts: Counter[tuple[Tone, str]]) -> int:
    """Of a tally of instances: how many have ended."""
    return sum(counts[end.tone, end.text] for end in _ENDS)


def there(counts: Counter[tuple[Tone, str]]) -> int:
    """Of a tally of instances: how many have not ended."""
    return counts.total() - ended(counts)


def job_state(job: JobSummary) -> State:
    more = "being cancelled" if job.cancelling else "being removed" if job.deleting else ""
    if not more and job.status == "failed" and job.exit is not None:
        more = job.exit.text
    return State(tone_of(job.status), job.status, more)


_COLOURS: Final = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")


def output(text: str) -> str:
    """A line that a program wrote: colours and the like are left out, and the rest shown as `visible` does."""
    return visible(_COLOURS.sub("", text).replace("\t", "    ").rstrip("\r"))


def span(milliseconds: int) -> str:
    """`4s`, `3m`, `2h5m`, `4d`: two units at most. Clocks differ: never less than nothing."""
    seconds = max(0, milliseconds // 1000)
    if seconds < 60:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m{seconds % 60}s" if minutes < 10 and seconds % 60 else f"{minutes}m"
    hours = minutes // 60
    if hours < 24:
        return f"{hours}h{minutes % 60}m" if hours < 10 and minutes % 60 else f"{hours}h"
    days = hours // 24
    return f"{days}d{hours % 24}h" if days < 10 and hours % 24 else f"{days}d"
