"""Deploying what an import has made: agents in the order in which they wait for each other."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omnitide.cli.agents.staying import DEFAULT
from omnitide.cli.session import Session
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.compose.report import Held, Imported
    from omnitide.model.objects import AgentChanged
    from omnitide.model.spec import AgentManifest
    from omnitide.sdk.client import Client

OWNER = "compose.project"
"""The label that says whose an agent is."""


def deploy_project(
    session: Session,
    imported: "Imported",
    agents: "Sequence[AgentManifest]",
    *,
    wait: bool,
    timeout: str,
    settle: str = DEFAULT,
) -> None:
    """Raises Failure before anything is changed if an agent of a name is not this project's, and as `report` does;
    FabricError."""
    from omnitide.cli.agents.deploy import finish_unwaited, one_document, put, report, seconds_of
    from omnitide.cli.agents.plan import plan_lines
    from omnitide.cli.agents.volumes_left import tell_volumes_left

    limit_s, settle_s = seconds_of(timeout), seconds_of(settle, "--settle")
    with session.client() as client, one_document(session, several=True) as done:
        todo = [(agent, agent.namespace or session.namespace) for agent in ordered(agents)]
        seen = [_revision(client, namespace, agent, imported.project) for agent, namespace in todo]
        new = [(namespace, agent) for (agent, namespace), at in zip(todo, seen, strict=True) if not at]
        tell_volumes_left(session, client, new)
        renewed = _provide(session, client, imported, {f"agent {namespace}/{agent.name}" for agent, namespace in todo})
        made: list[AgentChanged] = []
        began = time.monotonic()
        for (agent, namespace), at in zip(todo, seen, strict=True):
            changed = put(client, namespace, agent, agent.replicas, take_over=False, seen=at, dry_run=False)
            for line in plan_lines(namespace, agent.name, changed, session.color):
                session.say_painted(f"  {line}")
            _tell_kept(session, changed, renewed)
            made.append(changed)
        # One that somebody has stopped, and that is as the files say, stays so.
        awaited = [one for one in made if wait and (one.change != "unchanged" or _meant_to_run(one))]
        report(session, client, awaited, began, limit_s, done, settle_s)
        done.extend(finish_unwaited(session, changed) for changed in made if changed not in awaited)


def _meant_to_run(changed: "AgentChanged") -> bool:
    return changed.agent is not None and changed.agent.status not in ("stopped", "removing")


def _tell_kept(session: Session, changed: "AgentChanged", renewed: "Sequence[Held]") -> None:
    """Say that what runs goes on with the old values, where nothing else makes it start anew."""
    agent = changed.agent
    if agent is None or changed.change in ("created", "updated") or not agent.running:
        return
    spec = agent.spec
    for held in renewed:
        use = (spec.secrets if held.kind == "secret" else spec.configs).get(held.name)
        if use is not None and use.on_change == "keep":
            told = f"runs with the old value of the {held.kind} {held.name} until it is started anew"
            session.warn(f"{agent.name} {told}: omnitide restart {called(agent.namespace, agent.name)}")


def _provide(session: Session, client: "Client", imported: "Imported", own: set[str]) -> "list[Held]":
    """Create the secrets and configs whose values the files give; change those that only this project's agents use.
    Returns those that have a new value in place of an old one."""
    from omnitide.sdk.errors import NotFound

    namespace = session.namespace
    renewed: list[Held] = []
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
        change = write(namespace, held.name, held.value).change
        session.say(f"  {held.kind} {namespace}/{held.name} {change}")
        if change == "updated":
            renewed.append(held)
    return renewed


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
