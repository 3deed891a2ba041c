"""The sentences of an explanation: what is missing where, and what would have to change."""

from collections.abc import Sequence

from omnitide.fabric.rules.moving import next_version
from omnitide.fabric.rules.room import holds_port
from omnitide.fabric.state import FabricState, Instance, Node, NodeStatus, Scheduling
from omnitide.model.quantity import format_duration
from omnitide.scheduler.explanation import Change, Verdict, Way
from omnitide.scheduler.reasons import Reason, driver_fault, format_amount, why_closed
from omnitide.scheduler.rules import Rule
from omnitide.scheduler.table import NodeTable, label_of

_MOST_REASONS = 4
"""Reasons in a summary; it says how many more there are."""


def least_change(table: NodeTable, rule: Rule, row: int) -> Change:
    """The smallest change that makes the rule pass on this node, to the spec where that can do it."""
    node = table.nodes[row]
    if rule.have is not None:
        have = int(rule.have[row])
        amount = have if have > 0 else _total(table, rule, row)
        if have <= 0 and amount >= rule.need:
            return _freed(rule, row, f"once {format_amount(rule.kind, rule.need - have)} {_unit(rule)} is free there")
        if amount <= 0:
            return Change(rule=rule.kind, of="spec", text=f"without {_unit(rule)}")
        later = " once that is free there" if have <= 0 else ""
        text = f"with {_unit(rule)} {format_amount(rule.kind, amount)}{later}"
        return Change(rule=rule.kind, of="spec", amount=amount, text=text)
    match rule.kind:
        case "offline":
            return _node_change(rule, _once_back(node))
        case "closed":
            return _node_change(rule, _once_back(node) if node.departing else "once it is uncordoned")
        case "driver":
            return _node_change(rule, f"once it has the driver {rule.subject}")
        case "driver-unhealthy":
            return _node_change(rule, f"once its driver {rule.subject} works ({driver_fault(node, rule.subject)})")
        case "enforcement" if rule.subject == "sandbox":
            return _node_change(rule, "once it can sandbox processes (install bubblewrap there)")
        case "enforcement":
            return _spec_change(rule, f"with the {rule.subject} limit best-effort instead of required")
        case "device":
            return _node_change(rule, f"once it gives containers {rule.subject} (its setting node.devices)")
        case "static-port":
            return _spec_change(rule, f"with another host port than {rule.subject}")
        case "node":
            return _spec_change(rule, f"if it were not bound to {rule.subject}")
        case _:
            return _spec_change(rule, f"without {rule.subject}")


def change_to_wait_for(table: NodeTable, rule: Rule, row: int, now_ms: int) -> Change:
    """What has to happen on this node for the rule to pass; it can, as the rule is not lasting there. `now_ms`: log
    time."""
    node = table.nodes[row]
    if rule.have is not None:
        missing = format_amount(rule.kind, rule.need - int(rule.have[row]))
        return _freed(rule, row, f"{missing} {_unit(rule)} is freed on {node.name}")
    match rule.kind:
        case "offline":
            return _node_change(rule, f"{node.name} {_returns(node, now_ms)}{_and_open(node)}")
        case "closed":
            how = f"{_returns(node, now_ms)}{_and_open(node)}" if node.departing else "is uncordoned"
            return _node_change(rule, f"{node.name} {how}")
        case "driver-unhealthy":
            fact = node.facts.driver(rule.subject)
            if fact is not None and fact.absent:
                return _node_change(rule, f"{node.name} has what the driver {rule.subject} needs")
            # Whether it ever did is not known.
            return _node_change(rule, f"the driver {rule.subject} works on {node.name}")
        case _:
            return _node_change(rule, f"host port {rule.subject} is freed on {node.name}")


def takes_nothing(node: Node) -> str:
    """To stand after a node that something is bound to: that it is closed, whether or not it is there."""
    closed = node.scheduling is not Scheduling.OPEN
    return f" and takes nothing new: it is {node.scheduling.value}" if closed else ""


def in_which_version(state: FabricState, instance: Instance) -> str:
    """To stand after where a replica that is to leave its node fits, or not: the version that would start there, where
    that is another than it runs. Empty: it is the same."""
    version = next_version(state, state.agents[instance.workload], instance)
    return "" if version == instance.version else f" in the version that would start there ({version})"


def _once_back(node: Node) -> str:
    back = "connects" if node.status is NodeStatus.JOINED else "is started again" if node.stopped_ms else "is back"
    return f"once it {back}{_and_open(node)}"


def _and_open(node: Node) -> str:
    """What else it takes of one that is not there: being back it is as closed as it was."""
    if node.scheduling is Scheduling.OPEN:
        return ""
    return " and uncordoned" if node.stopped_ms else " and is uncordoned"


def _returns(node: Node, now_ms: int) -> str:
    if node.stopped_ms:
        return "is started again (its operator stopped it)"
    return "connects" if node.status is NodeStatus.JOINED else f"returns{_expected(node, now_ms)}"


def _expected(node: Node, now_ms: int) -> str:
    """What a node that took its leave said of its return, and what has become of that."""
    if not node.back_within_ms:
        return ""
    if node.status is NodeStatus.LIVE:
        # When it said so is not known: `since_ms` is since when it was live.
        return f" (expected within {format_duration(node.back_within_ms)} of its goodbye)"
    left = node.since_ms + node.back_within_ms - now_ms
    if left > 0:
        return f" (expected within {format_duration(min(left, node.back_within_ms))})"
    return f" (it was expected back {format_duration(-left)} ago)"


def need_and_have(node: Node, rule: Rule, row: int) -> tuple[str, str]:
    """What the rule asks of a node that fails it, and what the node has: to stand after `needs` and `has`."""
    if rule.have is not None:
        return format_amount(rule.kind, rule.need), format_amount(rule.kind, int(rule.have[row]))
    match rule.kind:
        case "offline" | "left":
            return "live", why_closed(node)
        case "closed":
            return "open", why_closed(node)
        case "driver":
            return rule.subject, ", ".join(sorted(fact.name for fact in node.facts.drivers)) or "no driver"
        case "driver-unhealthy":
            return f"{rule.subject} that works", f"one that does not: {driver_fault(node, rule.subject)}"
        case "enforcement" if rule.subject == "sandbox":
            return "a sandbox", "no means to sandbox processes"
        case "enforcement":
            return f"{rule.subject} limit enforced", "no means to enforce it"
        case "device":
            return rule.subject, f"{', '.join(node.facts.devices) or 'none'} for containers"
        case "static-port":
            port = int(rule.subject)
            have = f"it used by {node.ports[port]}" if holds_port(node, port) else "it asked for twice"
            return f"port {port} free", have
        case "node":
            return rule.subject, node.name
        case _:
            label = rule.subject.split(" ", 1)[0]
            value = label_of(node, label)
            return rule.subject, f"no label {label}" if value is None else f"{label} = {value}"


def summary(
    verdict: Verdict,
    table: NodeTable,
    fitting: int,
    first: str,
    reasons: Sequence[Reason],
    when: Sequence[Way],
    nearest: Way | None,
    startable: bool,
) -> str:
    """All of it in a few sentences, the first without a capital, to stand after `pending for 12 s: `."""
    nodes = len(table)
    of_nodes = f"{fitting} of {nodes} {table.noun}{'' if nodes == 1 else 's'}"
    if verdict == "fits-now":
        return f"fits now on {of_nodes}, first on {first}."
    if fitting:
        return f"{reasons[0].text}. Then it fits on {of_nodes}."
    sentences = [reason.text for reason in reasons[:_MOST_REASONS]]
    more = len(reasons) - _MOST_REASONS
    if more > 0:
        sentences.append(f"there {'is 1 more reason' if more == 1 else f'are {more} more reasons'}")
    else:
        if len(reasons) == 1 and when and startable:
            sentences.append("nothing else stands in the way")
        if when:
            sentences.append(f"fits when {', or '.join(way.text for way in when)}")
            if nearest is not None and any(change.of == "spec" for change in nearest.changes):
                sentences.append(f"it would fit {nearest.text}")
        elif nodes:
            whose = "known node" if table.noun == "node" else table.noun
            how = f" as it is, even empty and open; it would fit {nearest.text}" if nearest is not None else ""
            sentences.append(f"no {whose} could take it{how}")
    return ". ".join([sentences[0], *(text[:1].upper() + text[1:] for text in sentences[1:])]) + "."


def _total(table: NodeTable, rule: Rule, row: int) -> int:
    match rule.kind:
        case "cpu":
            return int(table.cpu_total[row])
        case "memory":
            return int(table.memory_total[row])
        case _:
            return int(table.port_last[row] - table.port_first[row] + 1)


def _unit(rule: Rule) -> str:
    return rule.kind if rule.kind in ("cpu", "memory") else "host ports"


def _freed(rule: Rule, row: int, text: str) -> Change:
    missing = 0 if rule.have is None else rule.need - int(rule.have[row])
    return Change(rule=rule.kind, of="node", amount=missing, text=text)


def _node_change(rule: Rule, text: str) -> Change:
    return Change(rule=rule.kind, subject=rule.subject, of="node", text=text)


def _spec_change(rule: Rule, text: str) -> Change:
    return Change(rule=rule.kind, subject=rule.subject, of="spec", text=text)
