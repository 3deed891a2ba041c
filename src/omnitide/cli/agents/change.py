"""`omnitide scale`, `restart`, `stop`, `start`, `rm`: changes of one agent, waited for."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from omnitide.cli.agents.deploy import Timeout, finish_unwaited, one_document, report, seconds_of
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.model.objects import AgentChanged
    from omnitide.sdk.client import Client

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="Name, or namespace/name.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is so.")]


def scale(
    context: typer.Context,
    name: AgentName,
    replicas: Annotated[int, typer.Argument(metavar="REPLICAS", min=0, max=100_000, help="How many shall run.")],
    wait: Wait = True,
    timeout: Timeout = "5m",
) -> None:
    """Set how many replicas of an agent run."""
    session = session_of(context)
    namespace, agent = session.name(name)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        began = time.monotonic()
        changed = client.scale_agent(agent, replicas, namespace=namespace)
        _finish(session, client, changed, began, limit_s, wait=wait)


def restart(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Agent, or instance such as hello-2.1.")],
    wait: Wait = True,
    timeout: Timeout = "5m",
) -> None:
    """Restart an agent, a few replicas at a time as in an update; or one instance, on its node."""
    from omnitide.cli.instances.resolve import find_instance

    session = session_of(context)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        began = time.monotonic()
        instance = find_instance(session, client, name)
        if instance is not None:
            done = client.restart_instance(instance.id)
            if session.plain:
                session.emit(done)
            else:
                session.say(f"  {instance.name} {done.change}")
            return
        namespace, agent = session.name(name)
        changed = client.restart_agent(agent, namespace=namespace)
        _finish(session, client, changed, began, limit_s, wait=wait)


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
        _finish(session, client, changed, began, limit_s, wait=wait)


def rm(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="AGENT...", help="Names, or namespace/name.")],
    wait: Wait = True,
    timeout: Timeout = "5m",
) -> None:
    """Remove agents, or jobs, with their instances."""
    from omnitide.sdk.errors import NotFound

    session = session_of(context)
    limit_s = seconds_of(timeout)
    with session.client() as client, one_document(session) as done:
        for name in names:
            began = time.monotonic()
            namespace, agent = session.name(name)
            try:
                changed = client.delete_agent(agent, namespace=namespace)
            except NotFound as unknown:
                try:
                    job = client.delete_job(agent, namespace=namespace)
                except NotFound:
                    raise unknown from None
                session.say(f"  job {agent} removed")
                done.append(job)
                continue
            if wait:
                until_ended(client, namespace, agent, began + limit_s, gone=True)
            tell(session, changed, agent, "removed", began)
            done.append(changed)


def _finish(
    session: Session, client: "Client", changed: "AgentChanged", began: float, timeout_s: float, *, wait: bool
) -> None:
    with one_document(session) as done:
        if wait and changed.agent is not None and changed.agent.status != "stopped":
            done.append(report(session, client, changed, began, timeout_s))
        else:
            done.append(finish_unwaited(session, changed))


def tell(session: Session, changed: "AgentChanged", name: str, verb: str, began: float) -> None:
    already = " already" if changed.change == "unchanged" else ""
    session.say(f"  {name}{already} {verb} in {time.monotonic() - began:.2f} s")


def until_ended(client: "Client", namespace: str, name: str, deadline: float, *, gone: bool) -> None:
    """Until none of its instances is on a node any more, and with `gone` until the agent is not there either."""
    from omnitide.cli.exits import Exit, Failure
    from omnitide.sdk.errors import NotFound, Unavailable

    news: int | None = None
    while True:
        try:
            agent = client.get_agent(name, namespace=namespace, min_revision=news)
        except NotFound:
            return
        except Unavailable as error:
            if error.code != "behind":
                raise
            agent = client.get_agent(name, namespace=namespace)
        counts = agent.counts
        here = counts.placed + counts.starting + counts.running + counts.stopping + counts.unknown
        if not here and not gone:
            return
        if time.monotonic() > deadline:
            unknown = f", {counts.unknown} of them unknown" if counts.unknown else ""
            raise Failure(
                f"{name}: {here} instances are still there{unknown}", f"omnitide explain {name}", Exit.TIMEOUT
            )
        news = client.seen + 1
