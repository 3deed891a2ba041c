"""Deploying what an import has made: agents in the order in which they wait for each other."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omnitide.cli.session import Session

if TYPE_CHECKING:
    from omnitide.compose.report import Imported
    from omnitide.model.objects import AgentChanged
    from omnitide.model.spec import AgentManifest
    from omnitide.sdk.client import Client

_LOOK_S = 0.3
"""From one look at agents that may end to the next."""
OWNER = "compose.project"
"""The label that says whose an agent is."""


def deploy_project(
    session: Session, imported: "Imported", agents: "Sequence[AgentManifest]", *, wait: bool, timeout: str
) -> None:
    """Raises Failure before anything is changed if an agent of a name is not this project's; FabricError."""
    from omnitide.cli.agents.deploy import finish_unwaited, one_document, put, report, seconds_of
    from omnitide.cli.agents.plan import plan_lines

    limit_s = seconds_of(timeout)
    with session.client() as client, one_document(session, several=True) as done:
        todo = [(agent, agent.namespace or session.namespace) for agent in ordered(agents)]
        seen = [_revision(client, namespace, agent, imported.project) for agent, namespace in todo]
        _provide(session, client, imported, {f"agent {namespace}/{agent.name}" for agent, namespace in todo})
        made: list[AgentChanged] = []
        began = time.monotonic()
        for (agent, namespace), at in zip(todo, seen, strict=True):
            changed = put(client, namespace, agent, agent.replicas, take_over=False, seen=at, dry_run=False)
            for line in plan_lines(namespace, agent.name, changed, session.color):
                session.say(f"  {line}")
            made.append(changed)
        if wait:
            may_end = [agent.restart.policy == "never" for agent, _ in todo]
            lasting = [changed for changed, ends in zip(made, may_end, strict=True) if not ends]
            if lasting:
                report(session, client, lasting, began, limit_s, done)
            ending = [(space, agent.name) for (agent, space), ends in zip(todo, may_end, strict=True) if ends]
            _begun(session, client, ending, began + limit_s)
            done.extend(client.get_agent(name, namespace=space) for space, name in ending)
        else:
            done.extend(finish_unwaited(session, changed) for changed in made)


def _provide(session: Session, client: "Client", imported: "Imported", own: set[str]) -> None:
    """Create the secrets and configs whose values the files give; change those that only this project's agents use."""
    from omnitide.sdk.errors import NotFound

    namespace = session.namespace
    for held in imported.held:
        read, write = (
            (client.get_secret, client.set_secret) if held.kind == "secret" else (client.get_config, client.set_config)
        )
        try:
            used = set(read(namespace, held.name).used_by)
        except NotFound:
            used = set[str]()
        if used - own:
            session.warn(
                f"the {held.kind} {namespace}/{held.name} is left as it is: {', '.join(sorted(used - own))} has it"
            )
            continue
        session.say(f"  {held.kind} {namespace}/{held.name} {write(namespace, held.name, held.value).change}")


def _begun(session: Session, client: "Client", agents: Sequence[tuple[str, str]], until: float) -> None:
    """Wait until each agent that is not started again runs, or has ended well. Raises Failure."""
    from omnitide.cli.exits import Exit, Failure

    left = {(namespace, name) for namespace, name in agents if client.get_agent(name, namespace=namespace).replicas}
    while left:
        for namespace, name in sorted(left):
            found = [one.status for one in client.instances(namespace=namespace, agent=name, ended=True)]
            if "failed" in found:
                raise Failure(f"{name} has ended with a failure", f"omnitide logs {name}", Exit.ROLLOUT)
            if found and all(status in ("running", "succeeded") for status in found):
                session.say(f"  {name} {'runs' if 'running' in found else 'has ended well'}")
                left.discard((namespace, name))
        if left and time.monotonic() > until:
            waiting = ", ".join(name for _, name in sorted(left))
            raise Failure(f"not within the time: {waiting}", f"omnitide explain {min(left)[1]}", Exit.TIMEOUT)
        if left:
            time.sleep(_LOOK_S)


def ordered(agents: "Sequence[AgentManifest]") -> "list[AgentManifest]":
    """What is waited for before what waits."""
    left = {agent.name: agent for agent in agents}
    made: list[AgentManifest] = []
    while left:
        free = [name for name, agent in left.items() if not agent.needs.keys() & left.keys()]
        # An import has no circles; if there were one, its agents would be deployed as they come.
        made += [left.pop(name) for name in free or list(left)]
    return made


def _revision(client: "Client", namespace: str, agent: "AgentManifest", project: str) -> int:
    """Of the agent as it is, 0 if there is none. Raises Failure if it belongs to something else."""
    from omnitide.cli.exits import Exit, Failure
    from omnitide.sdk.errors import NotFound

    try:
        found = client.get_agent(agent.name, namespace=namespace)
    except NotFound:
        return 0
    if found.spec.labels.get(OWNER) != project:
        raise Failure(
            f"there is an agent {namespace}/{agent.name} already that does not belong to the project {project}",
            "give the project a namespace of its own with --namespace",
            Exit.CONFLICT,
        )
    return found.revision
