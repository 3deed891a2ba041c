"""Going back to an earlier version, or to its spec by a deployment: it rolls out again, as a new version that keeps
what still runs it."""

from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rules.settle import request_stop, settle_agent


def go_back(draft: Draft, identifier: str, source: int, *, cause: str = "") -> None:
    """Begin the rollout of an agent's next version, with the spec of version `source`.

    `cause`: why the fabric does it by itself; empty where somebody asked.
    """
    version = draft.state.agents[identifier].version + 1
    draft.emit(ev.AgentRolledBack(agent=identifier, version=version, source=source, cause=cause, keeps=True))
    stop_what_was_to_follow(draft, identifier)
    settle_agent(draft, identifier, reason="update")


def stop_what_was_to_follow(draft: Draft, identifier: str) -> None:
    """After replicas were kept (see `folds.keeping`): nothing waits any more for what was to take their places."""
    for stray in sorted(draft.state.agents[identifier].strays):
        instance = draft.state.instances[stray]
        if not instance.superseded:
            request_stop(draft, instance, "update")
