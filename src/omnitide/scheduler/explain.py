"""Why an instance waits: a verdict, every reason in numbers, and the nearest change that would do.

It asks the rules that `place` asks: `fits-now` exactly when `place` would place it. `never` means that no known node
could take it even if it were live, open and empty; a node that joins later may.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from omnitide.fabric.rules.conditions import (
    company,
    home_of,
    only_node,
    staying_volumes,
    unmet_needs,
    unset_values,
    volume_holder,
)
from omnitide.fabric.rules.moving import next_version
from omnitide.fabric.state import FabricState, Instance, InstanceStatus, Node, spec_of_instance
from omnitide.model.quantity import format_duration
from omnitide.model.spec import WorkloadSpec
from omnitide.scheduler.ask import Requirements, requirements_of
from omnitide.scheduler.explanation import Change, Explanation, Failure, NodeVerdict, Verdict, Way
from omnitide.scheduler.place import first_choice, smallest
from omnitide.scheduler.reasons import NEED_FAILED, Reason, count_failing, rank_reasons
from omnitide.scheduler.rules import (
    PASSING,
    Rule,
    RuleKind,
    bound_rule,
    passes,
    room_now,
    room_rules,
    room_when_empty,
    standing_rules,
)
from omnitide.scheduler.table import Flags, NodeTable
from omnitide.scheduler.wording import change_to_wait_for, least_change, need_and_have, summary, takes_nothing

MAX_WAYS: Final = 3
"""Nodes that `Explanation.when` names."""

MAX_NODES: Final = 1000
"""Nodes that `Explanation.table` lists, whatever was asked for."""

_COST: Final[dict[RuleKind, float]] = {
    "closed": 1,
    "cpu": 2,
    "memory": 2,
    "offline": 4,
    "left": 100,
    "static-port": 5,
    "ports": 5,
    "driver-unhealthy": 5,
    "enforcement": 6,
    "constraint": 6,
    "device": 8,
    "driver": 9,
    "node": 9,
}
"""How far off a change is, to choose the nearest among those of equal number. What is missing of
cpu and memory adds up to 4: to ask for a little less is nearer than to wait for a machine, to ask for nearly nothing is
not."""


def explain(
    table: NodeTable,
    need: Requirements,
    *,
    workload: str = "",
    avoid: tuple[str, ...] = (),
    now_ms: int = 0,
    not_before_ms: int = 0,
    node_limit: int = 0,
    only: tuple[str, ...] = (),
    why_only: str = "",
    needs: tuple[Reason, ...] = (),
    startable: bool = True,
) -> Explanation:
    """Explain one instance on its own. `workload` and `avoid` only decide which node is its first choice.

    `only`: ids of the nodes that it is bound to, which `why_only` names with the reason. `needs`: what it waits for of
    other agents and jobs. `startable`: whether it could start once it is placed, as far as is known.
    """
    bound = [bound_rule(table, only, why_only)] if only else []
    rules = [*bound, *standing_rules(table, need), *room_rules(table, room_now(table), need)]
    lasting = [
        *bound,
        *(rule for rule in standing_rules(table, need) if rule.kind not in PASSING),
        *room_rules(table, room_when_empty(table), need),
    ]
    fits = passes(table, rules)
    possible = passes(table, lasting)
    found = rank_reasons(table, rules) if not fits.all() or not len(table) else ()
    if len(table) and not possible.any():
        # That nodes are away or closed passes: what would hold even then is the reason.
        lasts = {(rule.kind, rule.subject) for rule in lasting if rule.blocked.any()}
        found = tuple(sorted(found, key=lambda reason: (reason.rule, reason.subject) not in lasts))
    first = first_choice(table, need, workload, avoid, only)
    when: tuple[Way, ...] = ()
    nearest: Way | None = None
    verdict: Verdict = "fits-now" if first is not None else "fits-when" if possible.any() else "never"
    if verdict != "fits-now" and len(table):
        for row in _nearest(table, rules, ~table.left, 1):
            changes = tuple(least_change(table, rule, row) for rule in rules if rule.blocked[row])
            nearest = _way(table.nodes[row], changes, f"on {table.nodes[row].name} ")
        for row in _nearest(table, rules, possible, MAX_WAYS):
            changes = tuple(change_to_wait_for(table, rule, row, now_ms) for rule in rules if rule.blocked[row])
            when += (_way(table.nodes[row], changes),)
    if needs:
        verdict = "fits-when" if verdict == "fits-now" else verdict
        found = (*needs, *found)
    waits = not_before_ms > now_ms
    if waits:
        verdict = "fits-when" if verdict == "fits-now" else verdict
        left = format_duration(not_before_ms - now_ms)
        found = (Reason(rule="back-off", text=f"waits for its back-off, {left} more", until_ms=not_before_ms), *found)
    name = "" if first is None else table.nodes[first].name
    fitting = int(np.count_nonzero(fits))
    return Explanation(
        verdict=verdict,
        text=summary(verdict, table, fitting, name, found, when, nearest, startable),
        revision=table.revision,
        nodes=len(table),
        fitting=fitting,
        reasons=found,
        first_choice=name if verdict == "fits-now" else "",
        when=when,
        nearest=nearest,
        not_before_ms=not_before_ms if waits else 0,
        table=_node_verdicts(table, rules, lasting, min(node_limit, MAX_NODES)) if node_limit > 0 else (),
    )


def explain_instance(
    state: FabricState, table: NodeTable, instance: Instance, *, now_ms: int, node_limit: int = 0
) -> Explanation:
    """Explain a pending instance, or where one that is to leave its node could go: then the other nodes are all that
    counts, and the version of what would start there, which need not be the one that runs here. `table` shows the nodes
    of `state`."""
    waits = instance.status is InstanceStatus.PENDING
    if not waits:
        table = table.without(instance.node)
        if not len(table):
            return _no_other_node(table)
    spec = spec_of_instance(state, instance)
    if not waits and instance.kind == "agent":
        agent = state.agents[instance.workload]
        spec = agent.versions[next_version(state, agent, instance)].spec
    only, why = _bound_to(state, instance, spec)
    return explain(
        table,
        requirements_of(spec),
        workload=instance.workload,
        avoid=instance.avoids,
        now_ms=now_ms,
        not_before_ms=instance.not_before_ms,
        node_limit=node_limit,
        only=only,
        why_only=why,
        needs=(*_held_up(state, instance, spec), *_unmet(state, instance, spec)) if waits else (),
        startable=not any(unset_values(state, instance.namespace, spec)),
    )


def _no_other_node(table: NodeTable) -> Explanation:
    """Of what is to leave the only node that there is: whether that takes anything is not the question."""
    alone = Reason(rule="no-nodes", text="there is no other node")
    return Explanation(
        verdict="fits-when",
        text=f"{alone.text}. It leaves when one joins that can take it.",
        revision=table.revision,
        nodes=0,
        fitting=0,
        reasons=(alone,),
    )


def _unmet(state: FabricState, instance: Instance, spec: WorkloadSpec) -> tuple[Reason, ...]:
    unmet = unmet_needs(state, instance.namespace, spec)
    return tuple(Reason(rule=NEED_FAILED if one.hopeless else "needs", text=one.text) for one in unmet)


def _held_up(state: FabricState, instance: Instance, spec: WorkloadSpec) -> tuple[Reason, ...]:
    holder = volume_holder(state, instance)
    if holder is None:
        return ()
    text = f"waits for {holder.name} to stop, which has volume {', '.join(staying_volumes(spec))} of its slot"
    return (Reason(rule="needs", text=text),)


def _bound_to(state: FabricState, instance: Instance, spec: WorkloadSpec) -> tuple[tuple[str, ...], str]:
    """Ids of the nodes that it is bound to, and why; nothing if it is free."""
    if instance.status is InstanceStatus.PENDING:
        only = only_node(state, instance)
    else:
        # One that runs, and is to leave its node: where its replacement could go.
        only = home_of(state, instance, spec)
    if only and only == instance.pinned:
        return (only,), f"node {state.nodes[only].name}, where it was sent{takes_nothing(state.nodes[only])}"
    if only:
        volumes = staying_volumes(spec)
        what = f"its volume {volumes[0]}" if len(volumes) == 1 else f"its volumes {', '.join(volumes)}"
        return (only,), f"node {state.nodes[only].name}, which holds {what}{takes_nothing(state.nodes[only])}"
    if spec.together is None:
        return (), ""
    others = sorted(company(state, instance.namespace, spec.together, besides=instance.id))
    names = ", ".join(state.nodes[node].name for node in others)
    return tuple(others), f"node {names}, where others of {spec.together!r} are"


def _nearest(table: NodeTable, rules: Sequence[Rule], among: Flags, limit: int) -> list[int]:
    """The `limit` rows of `among` that are nearest to fitting: fewest rules failed, then least cost, then row."""
    rows = np.flatnonzero(among)
    if not len(rows):
        return []
    cost = np.zeros(len(table))
    for rule in rules:
        cost += rule.blocked * _COST[rule.kind]
        if rule.have is not None and rule.need:
            cost += rule.blocked * 4 * (1 - np.clip(rule.have / rule.need, 0, 1))
    return rows[smallest((count_failing(table, rules)[rows], cost[rows]), limit)].tolist()


def _way(node: Node, changes: tuple[Change, ...], lead: str = "") -> Way:
    text = lead + " and ".join(change.text for change in changes)
    return Way(node=node.id, name=node.name, changes=changes, text=text)


def _node_verdicts(
    table: NodeTable, rules: Sequence[Rule], lasting: Sequence[Rule], limit: int
) -> tuple[NodeVerdict, ...]:
    always = {(rule.kind, rule.subject): rule.blocked for rule in lasting}
    verdicts: list[NodeVerdict] = []
    for row in _nearest(table, rules, np.ones(len(table), dtype=np.bool_), limit):
        node = table.nodes[row]
        failures: list[Failure] = []
        for rule in rules:
            if rule.blocked[row]:
                need, have = need_and_have(node, rule, row)
                blocked = always.get((rule.kind, rule.subject))
                lasts = blocked is not None and bool(blocked[row])
                failures.append(Failure(rule=rule.kind, subject=rule.subject, need=need, have=have, lasting=lasts))
        verdicts.append(NodeVerdict(node=node.id, name=node.name, fits=not failures, failures=tuple(failures)))
    return tuple(verdicts)
