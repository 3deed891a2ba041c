"""The end of every decision: rollouts, moves and drains go on with what has become free."""

from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rules.rolling import advance_rollout, release_superseded
from omnitide.fabric.rules.settle import advance_drain


def react(draft: Draft) -> None:
    # Only where a rollout or a move is under way is there anything to go on with.
    if draft.state.rolling:
        told = _told(draft)
        for agent in list(draft.agents):
            release_superseded(draft, agent)
            advance_rollout(draft, agent, told.get(agent, ()))
    if draft.state.draining and (draft.agents or draft.ended):
        for node in sorted(draft.state.draining):
            advance_drain(draft, node)


def _told(draft: Draft) -> dict[str, list[str]]:
    """Agents and those of their instances that have ended on their nodes, to be started again there."""
    found: dict[str, list[str]] = {}
    for event in draft.events:
        if isinstance(event, ev.InstanceExited | ev.InstanceStarting):
            instance = draft.state.instances.get(event.instance)
            if instance is not None and instance.kind == "agent":
                found.setdefault(instance.workload, []).append(instance.id)
    return found
