"""What a command says of ways back: whether there is one, and once one was gone, how that ended."""

import re
import time
from typing import TYPE_CHECKING, Final

from omnitide.cli.exits import Exit, Failure
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.objects import Agent, RolloutStatus
    from omnitide.sdk.client import Client

LOOK_S: Final = 1.0
"""Longest time between two looks; a change is seen at once."""
LEAST_S: Final = 0.05


def may_roll_back(agent: "Agent") -> bool:
    """Whether the fabric takes back by itself what fails now: not the first version, and not what is halted, since then
    there was no version to go back to."""
    rollout = agent.rollout
    return agent.spec.update.on_failure == "rollback" and rollout is not None and not rollout.halted


def way_back(client: "Client", agent: "Agent") -> str:
    """How an agent goes back to an earlier version, or why it cannot, to stand after `it stays deployed`; nothing of a
    first version."""
    if agent.version <= 1:
        return ""
    command, refusal = way_back_of(client, agent.namespace, agent.name)
    return f", and goes back by: {command}" if command else f"; {refusal}" if refusal else ""


def way_back_of(client: "Client", namespace: str, name: str) -> tuple[str, str]:
    """The command that goes back, or why there is none; neither where Nexus does not say. It is asked as a dry run, so
    that what is told is what would be."""
    from omnitide.sdk.errors import Conflict, FabricError

    try:
        client.roll_back_agent(name, namespace=namespace, dry_run=True)
    except Conflict as refused:
        return "", f"{refused.detail}; {refused.hint}" if refused.hint else refused.detail
    except FabricError:
        return "", ""  # another error is told already
    return f"omnitide rollback {called(namespace, name)}", ""


def rolled_back(client: "Client", wanted: "Agent", deadline: float) -> Failure | None:
    """What to say where a later version than the one waited for has the spec of an earlier one again, after waiting
    until that runs, or does not; None where it has not. `deadline`: by time.monotonic."""
    found = client.get_rollout(wanted.name, namespace=wanted.namespace)
    if found.reason != "rolled-back" or found.version <= wanted.version:
        return None
    why = f": {found.cause}" if found.cause else " on request"
    found = _end(client, found, deadline)
    return Failure(
        f"{wanted.name}: version {wanted.version} was rolled back to version {found.source}{why}; {_how_it_is(found)}",
        f"omnitide history {called(wanted.namespace, wanted.name)}{_output_of(client, wanted, found.cause)}",
        Exit.ROLLOUT,
    )


def _output_of(client: "Client", agent: "Agent", cause: str) -> str:
    """How what it wrote is read of which the cause of a way back speaks: it names the replica's newest instance, which
    may never have run."""
    from omnitide.cli.instances.forgotten import placed_by

    named = re.match(rf"{re.escape(agent.name)}-\d+\.\d+\b", cause)
    wrote = placed_by(client, agent.namespace, named[0]) if named is not None else ""
    return f"; omnitide logs {called(agent.namespace, wrote)}" if wrote else ""


def _end(client: "Client", found: "RolloutStatus", deadline: float) -> "RolloutStatus":
    """The way back once it is over, or as it is when the time is up, or another version comes."""
    from omnitide.sdk.errors import NO_NEWS, Unavailable

    last = found
    while last.version == found.version and last.verdict == "progressing":
        left = deadline - time.monotonic()
        if left <= 0:
            return last
        news, within_s = last.revision + 1, max(LEAST_S, min(LOOK_S, left))
        try:
            last = client.get_rollout(found.agent, namespace=found.namespace, min_revision=news, within_s=within_s)
        except Unavailable as error:
            if error.code not in NO_NEWS:
                raise
            last = client.get_rollout(found.agent, namespace=found.namespace)
    return last if last.version == found.version else found


def _how_it_is(found: "RolloutStatus") -> str:
    runs = f"{found.updated} of {found.replicas} replicas run it as version {found.version}"
    if found.verdict == "rolled-back":
        return runs
    if found.verdict == "halted":
        return f"{runs}, and that is halted: {found.cause}"
    return f"{runs}, {found.available} are available, and it goes on"
