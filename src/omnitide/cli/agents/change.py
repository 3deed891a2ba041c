"""`omnitide scale`, `restart`, `stop`, `start`, `rm`: changes of one agent, waited for."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import agents, agents_and_instances, workloads
from omnitide.cli.agents.deploy import Timeout, finish_unwaited, one_document, report, seconds_of
from omnitide.cli.session import Session, session_of
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.objects import Agent, AgentChanged, Instance
    from omnitide.sdk.client import Client

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="Name, or namespace/name.", autocompletion=agents)]
MAX_REPLICAS: Final = 100_000
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done, or only ask for it.")]


def scale(
    context: typer.Context,
    name: AgentName,
    replicas: Annotated[str, typer.Argument(metavar="REPLICAS", help="How many shall run.")],
    wait: Wait = True,
    timeout: Timeout = "5m",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would start or stop where, and change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Set how many replicas of an agent run.

    Waits until all run; while a rollout is halted or paused, until those run that were added, in the version that
    works. On a terminal it is asked whether to go on where most of many new replicas would find no room.
    """
    from omnitide.cli.agents.forecast import ask_where_most_would_wait
    from omnitide.cli.instances.resolve import agents_only
    from omnitide.cli.show.outlook import foretell

    number = _number(replicas)
    session = session_of(context)
    namespace, agent = session.name(name)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        with agents_only(session, client, name, "scaled", f"omnitide scale {{}} {number}"):
            if dry_run:
                foretell(
                    session,
                    client,
                    [{"verb": "agent.scale", "name": agent, "namespace": namespace, "replicas": number}],
                )
                return
            asks = not yes and not session.plain and sys.stdin.isatty()
            had = client.get_agent(agent, namespace=namespace).replicas if wait or asks else 0
            if asks:
                ask_where_most_would_wait(session, client, namespace, agent, number - had, number)
            began = time.monotonic()
            changed = client.scale_agent(agent, number, namespace=namespace)
        if wait and changed.agent is not None and changed.agent.status != "stopped":
            from omnitide.cli.agents.scaling import lines, until_scaled

            # A rollout that goes no further is none of its business.
            found = until_scaled(client, changed.agent, had, began, limit_s)
            if found is not None:
                for line in lines(found, time.monotonic() - began):
                    session.say(f"  {line}")
                if session.plain:
                    session.emit(found.agent)
                return
        finish(session, client, changed, began, limit_s, wait=wait)


def _number(text: str) -> int:
    """Raises Failure."""
    from omnitide.cli.exits import Exit, Failure

    if not text.isdecimal() or int(text) > MAX_REPLICAS:
        raise Failure(f"{text!r} is no number of replicas: 0 to {MAX_REPLICAS}", "omnitide scale hello 5", Exit.USAGE)
    return int(text)


def restart(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Agent, or instance such as hello-2.1.", autocompletion=agents_and_instances
        ),
    ],
    at_once: Annotated[
        int,
        typer.Option(
            "--max-unavailable", metavar="N", min=0, help="Replicas away at once; 0: as many as its update allows."
        ),
    ] = 0,
    wait: Wait = True,
    timeout: Timeout = "5m",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be replaced and where, and change nothing.")
    ] = False,
) -> None:
    """Restart an agent, a few replicas at a time as in an update; or one instance alone.

    Waits until what ran has ended and what takes its place runs, and is ready if the agent says what that is.
    """
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.instances.resolve import find_instance
    from omnitide.cli.show.outlook import foretell

    session = session_of(context)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        began = time.monotonic()
        instance = find_instance(session, client, name)
        if instance is not None:
            if at_once:
                raise Failure("--max-unavailable is for an agent", "an instance is one", Exit.USAGE)
            if dry_run:
                foretell(session, client, [{"verb": "instance.restart", "name": instance.id}])
                return
            _restart_one(session, client, instance, began, limit_s, wait=wait)
            return
        namespace, agent = session.name(name)
        if dry_run:
            wanted: dict[str, str | int] = {"verb": "agent.restart", "name": agent, "namespace": namespace}
            foretell(session, client, [{**wanted, "max_unavailable": at_once}])
            return
        changed = client.restart_agent(agent, namespace=namespace, max_unavailable=at_once)
        finish(session, client, changed, began, limit_s, wait=wait)


def _restart_one(
    session: Session, client: "Client", instance: "Instance", began: float, limit_s: float, *, wait: bool
) -> None:
    from omnitide.cli.instances.restarting import until_restarted

    asked = client.restart_instance(instance.id)
    if not wait:
        session.say(f"  {instance.name} is to restart, at revision {asked.revision}; not waited for")
        if session.plain:
            session.emit(asked)
        return
    following = until_restarted(client, instance, began + limit_s)
    where = "" if following.node == instance.node else f" on {following.node}"
    took = time.monotonic() - began
    session.say(f"  {instance.name} restarted in {took:.2f} s: {following.name} runs{where}")
    if session.plain:
        session.emit(following)


def stop(context: typer.Context, name: AgentName, wait: Wait = True, timeout: Timeout = "5m") -> None:
    """Stop an agent's instances; it stays, and `start` brings it back."""
    session = session_of(context)
    namespace, agent = session.name(name)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        began = time.monotonic()
        changed = client.stop_agent(agent, namespace=namespace)
        if wait:
            until_ended(client, namespace, agent, began + limit_s, gone=False)
        tell(session, changed, agent, "stopped", began)
        if session.plain:
            session.emit(changed)


def start(context: typer.Context, name: AgentName, wait: Wait = True, timeout: Timeout = "5m") -> None:
    """Start an agent that was stopped."""
    session = session_of(context)
    namespace, agent = session.name(name)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        began = time.monotonic()
        changed = client.start_agent(agent, namespace=namespace)
        finish(session, client, changed, began, limit_s, wait=wait)


def rm(
    context: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="AGENT...", help="Names, or namespace/name.", autocompletion=workloads)
    ],
    wait: Wait = True,
    timeout: Timeout = "5m",
) -> None:
    """Remove agents, or jobs, with their instances. If one of the names is not there, none is removed."""
    from omnitide.cli.instances.resolve import require_workload

    session = session_of(context)
    limit_s = seconds_of(timeout)
    with session.client() as client, one_document(session) as done:
        # All are looked for before the first is removed: a slip in one name removes nothing.
        kinds = {name: require_workload(session, client, name) for name in names}
        for name, kind in kinds.items():
            began = time.monotonic()
            namespace, agent = session.name(name)
            if kind == "job":
                done.append(client.delete_job(agent, namespace=namespace))
                session.say(f"  job {agent} removed")
                continue
            changed = client.delete_agent(agent, namespace=namespace)
            if wait:
                until_ended(client, namespace, agent, began + limit_s, gone=True)
            tell(session, changed, agent, "removed", began)
            done.append(changed)


def finish(
    session: Session, client: "Client", changed: "AgentChanged", began: float, timeout_s: float, *, wait: bool
) -> None:
    with one_document(session) as done:
        if wait and changed.agent is not None and changed.agent.status != "stopped":
            report(session, client, [changed], began, timeout_s, done)
        else:
            done.append(finish_unwaited(session, changed))


def tell(session: Session, changed: "AgentChanged", name: str, verb: str, began: float) -> None:
    already = " already" if changed.change == "unchanged" else ""
    session.say(f"  {name}{already} {verb} in {time.monotonic() - began:.2f} s")


def until_ended(client: "Client", namespace: str, name: str, deadline: float, *, gone: bool) -> None:
    """Until none of its instances is on a node any more, and with `gone` until the agent is not there either."""
    from omnitide.cli.agents.follow import LEAST_S, seen_anew
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.show.words import plural
    from omnitide.sdk.errors import NotFound

    agent: Agent | None = None
    revision = 0
    while True:
        looked = time.monotonic()
        try:
            if agent is None:
                agent = client.get_agent(name, namespace=namespace)
            else:
                agent = seen_anew(client, agent, revision + 1, deadline)
        except NotFound:
            return
        revision = client.shown
        counts = agent.counts
        here = counts.placed + counts.starting + counts.running + counts.stopping + counts.unknown
        if not here and not gone:
            return
        if looked > deadline:
            unknown = f", {counts.unknown} of them unknown" if counts.unknown else ""
            raise Failure(
                f"{name}: {plural(here, 'instance')} still there{unknown}",
                f"omnitide explain {called(namespace, name)}",
                Exit.TIMEOUT,
            )
        time.sleep(max(0.0, LEAST_S - (time.monotonic() - looked)))
