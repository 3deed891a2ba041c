"""Why an instance fits nowhere now: one reason a rule, counted over the nodes and ranked."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from omnitide.fabric.state import Node, NodeStatus
from omnitide.model.quantity import format_bytes, format_cpu
from omnitide.scheduler.ask import Requirements
from omnitide.scheduler.rules import PASSING, Room, Rule, room_rules, standing_rules
from omnitide.scheduler.table import ABSENT, Flags, Ints, NodeTable

_NAMED = 3
"""Nodes, or values of a label, that a text names before it says how many more there are."""
_ASKED = 100
"""Nodes that are looked at for what they say; of more it is said how many there are."""

NEED_FAILED: Final = "need-failed"
"""Rule of a reason: it waits for what has failed for good, and comes to nothing before somebody acts."""


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule that keeps nodes from taking the instance."""

    rule: str
    """A `rules.RuleKind`, or `no-nodes`, `back-off`, `needs` or `need-failed`."""
    text: str
    subject: str = ""
    blocked: int = 0
    """Nodes that fail it, of `nodes`."""
    alone: int = 0
    """Nodes that fail nothing else."""
    nodes: int = 0
    need: int = 0
    """For ports, cpu (milli) and memory (bytes)."""
    best: int = 0
    """The most that a node has free of it, among those that nothing else forbids if there are such."""
    best_node: str = ""
    """Its name."""
    until_ms: int = 0
    """For back-off: log time at which it ends."""


def reasons(table: NodeTable, room: Room, need: Requirements) -> tuple[Reason, ...]:
    """Every rule that some node fails, the one that most depends on first."""
    return rank_reasons(table, [*standing_rules(table, need), *room_rules(table, room, need)])


def rank_reasons(table: NodeTable, rules: Sequence[Rule]) -> tuple[Reason, ...]:
    """First what alone keeps most nodes away, then what keeps most nodes away at all, then in order of the rules. Last
    that some have left: nothing can be done about it."""
    if not len(table):
        return (Reason(rule="no-nodes", text="the fabric has no nodes"),)
    failing = count_failing(table, rules)
    eligible = np.ones(len(table), dtype=np.bool_)
    for rule in rules:
        if rule.have is None:
            eligible &= ~rule.blocked
    found: list[Reason] = []
    for rule in rules:
        blocked = int(np.count_nonzero(rule.blocked))
        if not blocked:
            continue
        row = _most(rule.have, eligible) if rule.have is not None else None
        found.append(
            Reason(
                rule=rule.kind,
                subject=rule.subject,
                text=_text(table, rule, blocked, row, eligible),
                blocked=blocked,
                alone=int(np.count_nonzero(rule.blocked & (failing == 1))),
                nodes=len(table),
                need=rule.need,
                best=int(rule.have[row]) if rule.have is not None and row is not None else 0,
                best_node=table.nodes[row].name if row is not None else "",
            )
        )
    return tuple(sorted(found, key=lambda reason: (reason.rule == "left", -reason.alone, -reason.blocked)))


def count_failing(table: NodeTable, rules: Sequence[Rule]) -> Ints:
    """How many of the rules each node fails."""
    failing = np.zeros(len(table), dtype=np.int64)
    for rule in rules:
        failing += rule.blocked
    return failing


def why_closed(node: Node) -> str:
    """How a node stands that takes no new instance: `unreachable`, `stopped`, `cordoned`, ..."""
    if node.stopped_ms:
        return "stopped"
    if node.left:
        return "left"
    if node.status is not NodeStatus.LIVE:
        return "not connected yet" if node.status is NodeStatus.JOINED else node.status.value
    return "about to leave" if node.departing else node.scheduling.value


def driver_fault(node: Node, driver: str) -> str:
    """What the node says of a driver that does not work."""
    fact = node.facts.driver(driver)
    return fact.detail if fact is not None and fact.detail else "no detail given"


def format_amount(kind: str, amount: int) -> str:
    """`7.2`, `512 MiB`, `3`, by kind of rule. What is overdrawn is shown as 0."""
    amount = max(amount, 0)
    return format_cpu(amount) if kind == "cpu" else format_bytes(amount) if kind == "memory" else str(amount)


def _most(have: Ints, eligible: Flags) -> int:
    if eligible.any():
        return int(np.argmax(np.where(eligible, have, np.iinfo(np.int64).min)))
    return int(np.argmax(have))


def _text(table: NodeTable, rule: Rule, blocked: int, row: int | None, eligible: Flags) -> str:
    """`eligible`: nodes that fail no rule but those on room."""
    nodes = len(table)
    able = nodes - blocked
    of_nodes = f"of {nodes} {table.noun}{'' if nodes == 1 else 's'}"
    single = able == 1 or nodes == 1
    has = "has" if single else "have"
    if rule.have is not None and row is not None:
        what = {"cpu": "cpu", "memory": "memory"}.get(rule.kind, f"free host port{'' if rule.need == 1 else 's'}")
        need = format_amount(rule.kind, rule.need)
        return f"needs {need} {what}; {_who_has(table, rule, row, eligible)}"
    if rule.kind == "left":
        return f"{blocked} {of_nodes} {'has' if blocked == 1 else 'have'} left ({_noted(table, rule, blocked)})"
    if rule.kind in PASSING:
        names = _noted(table, rule, blocked)
        if rule.kind == "driver-unhealthy":
            return f"the driver {rule.subject} does not work on {blocked} {of_nodes} ({names})"
        verb = "is" if blocked == 1 else "are"
        state = "offline" if rule.kind == "offline" else "closed to new instances"
        return f"{blocked} {of_nodes} {verb} {state} ({names})"
    if rule.kind == "driver":
        return f"needs the driver {rule.subject}; {able} {of_nodes} {has} it"
    if rule.kind == "enforcement" and rule.subject == "sandbox":
        if able:
            return f"needs a sandbox; {able} {of_nodes} can sandbox processes"
        shown: list[Node] = [table.nodes[at] for at in np.flatnonzero(rule.blocked)[:_NAMED].tolist()]
        first = [node.name for node in shown]
        more = f" and {blocked - len(first)} more" if blocked > len(first) else ""
        return f"no {table.noun} can sandbox processes; install bubblewrap on {', '.join(first)}{more}"
    if rule.kind == "enforcement":
        return f"needs an enforced {rule.subject} limit; {able} {of_nodes} can enforce it"
    if rule.kind == "device":
        gives = "gives" if single else "give"
        return f"needs the device {rule.subject}; {able} {of_nodes} {gives} it to containers (setting node.devices)"
    if rule.kind == "node":
        return f"waits for {rule.subject}"
    if rule.kind == "static-port":
        return f"needs host port {rule.subject}; it is free on {able} {of_nodes}"
    return f"needs {rule.subject}; {able} {of_nodes} {'meets' if single else 'meet'} it{_seen(table, rule)}"


def _who_has(table: NodeTable, rule: Rule, row: int, eligible: Flags) -> str:
    """Of the nodes that nothing but room keeps from taking it, if there are such, how many have the room, and the most
    that one has."""
    asked = eligible if eligible.any() else np.ones_like(eligible)
    among, able = int(np.count_nonzero(asked)), int(np.count_nonzero(asked & ~rule.blocked))
    most = f"{table.nodes[row].name} {format_amount(rule.kind, int(rule.have[row]) if rule.have is not None else 0)}"
    if among == len(table):
        whose = f"of {among} {table.noun}{'' if among == 1 else 's'}"
    elif among == 1:
        return f"the only {table.noun} that could otherwise run it has {'enough' if able else 'less'} free ({most})"
    else:
        whose = f"of the {among} {table.noun}s that could otherwise run it"
    return f"{able} {whose} {'has' if able == 1 or among == 1 else 'have'} it (largest free: {most})"


def _noted(table: NodeTable, rule: Rule, blocked: int) -> str:
    """`alpha, beta: no engine; gamma: refused`: what the failing nodes say, the most common first; what several say
    alike, once."""
    if rule.kind == "left":
        gone: list[Node] = [table.nodes[at] for at in np.flatnonzero(rule.blocked)[:_NAMED].tolist()]
        more = f" and {blocked - len(gone)} more" if blocked > len(gone) else ""
        return ", ".join(node.name for node in gone) + more
    alike: dict[str, list[str]] = {}
    asked: list[Node] = [table.nodes[at] for at in np.flatnonzero(rule.blocked)[:_ASKED].tolist()]
    for node in asked:
        note = driver_fault(node, rule.subject) if rule.subject else why_closed(node)
        alike.setdefault(note, []).append(node.name)
    told: list[str] = []
    for note, names in sorted(alike.items(), key=lambda item: -len(item[1]))[:_NAMED]:
        further = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        told.append(f"{', '.join(names[:_NAMED])}{further}: {note}")
        blocked -= len(names)
    many = any(len(names) > 1 for names in alike.values())
    more = f"{'; ' if many else ' '}and {blocked} more" if blocked else ""
    return ("; " if many else ", ").join(told) + more


def _seen(table: NodeTable, rule: Rule) -> str:
    """The values that the failing nodes have instead, the most common first."""
    label = rule.subject.split(" ", 1)[0]
    column = table.labels(label)
    codes = column.values[rule.blocked & (column.values != ABSENT)]
    if not len(codes):
        return f" (no {table.noun} has a label {label})" if rule.blocked.all() else ""
    found, counts = np.unique(codes, return_counts=True)
    values = {code: value for value, code in column.codes.items()}
    common = sorted(zip((-counts).tolist(), (values[code] for code in found.tolist()), strict=True))
    shown = ", ".join(value for _, value in common[:_NAMED])
    return f" (there is {shown}{', ...' if len(common) > _NAMED else ''})"
