"""Answers to "why": is it pending, did it die, does it restart."""

from typing import Literal

from omnitide.model.objects import Agent, Instance, Millis, Object, Revision


class Reason(Object, frozen=True, kw_only=True):
    """One rule that keeps nodes from taking an instance."""

    rule: str
    """Such as `cpu`, `driver` or `needs`; `need-failed`: what it waits for has failed for good."""
    text: str
    subject: str = ""
    blocked: int = 0
    """Nodes that fail it, of `nodes`."""
    alone: int = 0
    """Nodes that fail nothing else."""
    nodes: int = 0
    need: int = 0
    """For ports, cpu (thousandths) and memory (bytes), as is `best`: the most that a node has free."""
    best: int = 0
    best_node: str = ""
    until_ms: Millis = 0


class Change(Object, frozen=True, kw_only=True):
    """One thing that would have to be otherwise."""

    rule: str
    text: str
    of: Literal["spec", "node"]
    """Where the change would be made."""
    subject: str = ""
    amount: int = 0


class Way(Object, frozen=True, kw_only=True):
    """What would let the instance run on one node."""

    node: str
    name: str
    changes: tuple[Change, ...] = ()
    text: str


class Failure(Object, frozen=True, kw_only=True):
    """A rule that one node fails."""

    rule: str
    need: str = ""
    have: str = ""
    subject: str = ""
    lasting: bool = False
    """It would fail it even if it were live, open and empty."""


class NodeVerdict(Object, frozen=True, kw_only=True):
    node: str
    name: str
    fits: bool
    failures: tuple[Failure, ...] = ()


class PlacementVerdict(Object, frozen=True, kw_only=True):
    """Why an instance waits for a node."""

    verdict: Literal["fits-now", "fits-when", "never"]
    text: str
    revision: Revision
    nodes: int = 0
    fitting: int = 0
    reasons: tuple[Reason, ...] = ()
    """Ranked."""
    first_choice: str = ""
    when: tuple[Way, ...] = ()
    nearest: Way | None = None
    not_before_ms: Millis = 0
    table: tuple[NodeVerdict, ...] = ()
    """Node by node, as many as were asked for."""


class InstanceExplanation(Object, frozen=True, kw_only=True):
    """Why an instance is as it is."""

    instance: Instance
    text: str
    """In a sentence or two."""
    placement: PlacementVerdict | None = None
    """If it is pending, or is to leave its node."""
    last_output: tuple[str, ...] = ()
    """The last lines that it wrote, 50 at most, if it died and its node could be asked in time."""
    last_output_missing: str = ""
    """Why there are none, if there should be."""
    alike: int = 0
    """As one of an agent's troubles: how many more of its replicas are in the same."""
    revision: Revision


class AgentExplanation(Object, frozen=True, kw_only=True):
    """Why an agent is as it is: one explanation for each kind of trouble, not one for each replica."""

    agent: Agent
    text: str
    """The `points` in one."""
    points: tuple[str, ...] = ()
    """How many run first; then its rollout, each kind of trouble, and what ended before."""
    troubles: tuple[InstanceExplanation, ...] = ()
    """Of one instance for each status and cause, 10 at most, with how many more are alike."""
    revision: Revision


def known_to_run(running: int, replicas: int) -> str:
    """Never more than are asked for as if that were so: what runs beside them in an update is told apart."""
    text = f"{min(running, replicas)} of {replicas} replicas are known to run"
    surplus = running - replicas
    return f"{text}, {surplus} more until {'it is' if surplus == 1 else 'they are'} stopped" if surplus > 0 else text


def again_and_again(failing: int, *, at_least: bool = False) -> str:
    """Behind how many replicas run: one that ends in a loop runs at this moment, or does not at this. `at_least`: not
    all were looked at."""
    many = "at least " if at_least else ""
    return f", {many}{failing} end{'s' if failing == 1 else ''} again and again" if failing else ""
