"""The end of every decision: rollouts, moves and drains go on with what has become free."""

from omnitide.fabric.draft import Draft
from omnitide.fabric.rules.rolling import advance_rollout, release_superseded
from omnitide.fabric.rules.settle import advance_drain


def react(draft: Draft) -> None:
    # Only where a rollout or a move is under way is there anything to go on with.
    for agent in list(draft.agents) if draft.state.rolling else ():
        release_superseded(draft, agent)
        advance_rollout(draft, agent)
    if draft.state.draining and (draft.agents or draft.ended):
        for node in sorted(draft.state.draining):
            advance_drain(draft, node)
