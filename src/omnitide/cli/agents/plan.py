"""What a deployment would change, shown before it is done."""

from typing import TYPE_CHECKING, Final

from omnitide.cli.show.table import paint
from omnitide.cli.show.visible import visible

if TYPE_CHECKING:
    from omnitide.model.objects import AgentChanged, AgentSummary

_SIGNS: Final = {"created": ("+", "green"), "unchanged": ("=", "dim")}
_CHANGED: Final = ("~", "yellow")
MAX_DIFFERENCES: Final = 20


def plan_lines(namespace: str, name: str, changed: "AgentChanged", color: bool) -> list[str]:
    """`+ agent default/hello   process   3 replicas   0.1 cpu  32 MiB each`, and below it field by field."""
    from omnitide.model.quantity import format_bytes, format_cpu

    agent, plan = changed.agent, changed.plan
    sign, style = _SIGNS.get(changed.change, _CHANGED)
    head = paint(f"{sign} agent {namespace}/{name}", style, color)
    if agent is None or plan is None:
        return [f"{head}   {changed.change}"]
    replicas = _replicas(plan.replicas_before, plan.replicas_after, new=changed.change == "created")
    each = f"{format_cpu(agent.cpu_milli) or '0'} cpu  {format_bytes(agent.memory_bytes)} each"
    lines = [f"{head}   {visible(agent.driver)}   {replicas}   {each}"]
    if changed.change == "unchanged":
        lines = [f"{head}   unchanged, version {plan.version_after}   {replicas}"]
    elif changed.change != "created":
        if plan.version_before != plan.version_after:
            lines[0] += f"   version {plan.version_before} -> {plan.version_after}"
        for one in plan.differences[:MAX_DIFFERENCES]:
            before, after = one.before or "(none)", one.after or "(none)"
            lines.append(f"    {visible(one.path)}: {paint(before, 'red', color)} -> {paint(after, 'green', color)}")
        if len(plan.differences) > MAX_DIFFERENCES:
            lines.append(f"    and {len(plan.differences) - MAX_DIFFERENCES} fields more")
    return [*lines, *(f"    {visible(note)}" for note in plan.note.splitlines())]


def removal_line(agent: "AgentSummary", color: bool) -> str:
    """`- agent default/old   removed, 3 replicas stopped`."""
    noun = "replica" if agent.replicas == 1 else "replicas"
    head = paint(f"- agent {agent.namespace}/{agent.name}", "red", color)
    return f"{head}   removed, {agent.replicas} {noun} stopped"


def _replicas(before: int, after: int, *, new: bool) -> str:
    noun = "replica" if after == 1 else "replicas"
    return f"{after} {noun}" if new or before == after else f"{before} -> {after} {noun}"
