"""`omnitide rollout status`, `pause`, `resume`: how a new version takes the place of the old one."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.agents.change import AgentName, restart, tell
from omnitide.cli.agents.deploy import Timeout, seconds_of
from omnitide.cli.agents.history import history
from omnitide.cli.agents.rollback import rollback
from omnitide.cli.agents.rolling_back import way_back_of
from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session, session_of
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.objects import AgentChanged, RolloutStatus
    from omnitide.sdk.client import Client

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Rollouts: see how far one is, hold it, let it go on."
)
# Commands of their own, and looked for here by whoever comes from kubectl.
for _name, _command in (("undo", rollback), ("rollback", rollback), ("history", history), ("restart", restart)):
    app.command(_name, hidden=True)(_command)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen and change nothing.")]
LOOK_S: Final = 1.0
"""Longest time between two looks; a change is seen at once."""


@app.command()
def status(
    context: typer.Context,
    name: AgentName,
    watch: Annotated[bool, typer.Option("--watch", help="Until it is over, one way or the other.")] = False,
    timeout: Timeout = "5m",
    # What happens without --watch, in the words of commands that wait unless told not to, here and elsewhere.
    once: Annotated[bool, typer.Option("--no-wait", "--no-watch", hidden=True)] = False,
) -> None:
    """Show how far an agent's newest version has come.

    Ends with 0 if every replica is available in it; with 8 if it is paused, halted, or was rolled back; with 7 while it
    goes on, with --watch only when the time is up; with 4 if the agent is stopped.
    """
    session = session_of(context)
    if watch and once:
        raise Failure("--watch waits until it is over: leave out one of the two", code=Exit.USAGE)
    namespace, agent = session.name(name)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        found = client.get_rollout(agent, namespace=namespace)
        if watch:
            found = _watch(session, client, found, time.monotonic() + limit_s)
        if session.plain:
            session.emit(found)
        else:
            for line in [*lines(found), *_ways_back(client, found)]:
                session.say(line)
    if found.verdict != "done":
        raise typer.Exit(_CODES[found.verdict])


_CODES: Final = {
    "progressing": Exit.TIMEOUT,
    "paused": Exit.ROLLOUT,
    "halted": Exit.ROLLOUT,
    "rolled-back": Exit.ROLLOUT,
    "stopped": Exit.CONFLICT,
}


def lines(found: "RolloutStatus") -> list[str]:
    """For people."""
    of = f", the spec of version {found.source} again" if found.source else ""
    shown = [
        f"  {found.agent} version {found.version} ({found.reason}{of}): {found.verdict}",
        f"  {progress(found)}",
    ]
    if found.superseded:
        who = "1 of an older version runs" if found.superseded == 1 else f"{found.superseded} of older versions run"
        shown.append(f"  {who} besides, until what takes its place is available")
    if found.cause:
        shown.append(f"  {found.cause}")
    if found.verdict == "paused":
        shown.append(f"  to go on: omnitide rollout resume {called(found.namespace, found.agent)}")
    return shown


def _ways_back(client: "Client", found: "RolloutStatus") -> list[str]:
    if found.verdict != "halted" or found.version <= 1:
        return []
    command, refusal = way_back_of(client, found.namespace, found.agent)
    return [f"  to go back: {command}"] if command else [f"  {refusal}"] if refusal else []


def progress(found: "RolloutStatus") -> str:
    """How far it is, in a line."""
    of = f"of {found.replicas}"
    return f"{found.updated} {of} replicas run version {found.version}; {found.available} {of} are available"


def _watch(session: Session, client: "Client", found: "RolloutStatus", deadline: float) -> "RolloutStatus":
    """Until the verdict is a last one, or the time is up. What changes is told."""
    from omnitide.sdk.errors import NO_NEWS, Unavailable

    told = ""
    while found.verdict == "progressing":
        text = progress(found)
        if text != told and not session.plain:
            session.note(text)
            told = text
        left = deadline - time.monotonic()
        if left <= 0:
            return found
        try:
            found = client.get_rollout(
                found.agent,
                namespace=found.namespace,
                min_revision=found.revision + 1,
                within_s=max(0.05, min(LOOK_S, left)),
            )
        except Unavailable as error:
            if error.code not in NO_NEWS:
                raise
            found = client.get_rollout(found.agent, namespace=found.namespace)
    return found


@app.command()
def pause(context: typer.Context, name: AgentName, dry_run: DryRun = False) -> None:
    """Keep a rollout from going on: what runs of either version stays, until `omnitide rollout resume`."""
    session = session_of(context)
    namespace, agent = session.name(name)
    with session.client() as client:
        began = time.monotonic()
        changed = client.pause_rollout(agent, namespace=namespace, dry_run=dry_run)
        _told(session, changed, namespace, agent, "paused", began)


@app.command()
def resume(context: typer.Context, name: AgentName, dry_run: DryRun = False) -> None:
    """Let a paused rollout go on. How it ends is told by `omnitide rollout status AGENT --watch`."""
    session = session_of(context)
    namespace, agent = session.name(name)
    with session.client() as client:
        began = time.monotonic()
        changed = client.resume_rollout(agent, namespace=namespace, dry_run=dry_run)
        _told(session, changed, namespace, agent, "resumed", began)


def _told(session: Session, changed: "AgentChanged", namespace: str, name: str, verb: str, began: float) -> None:
    if session.plain:
        session.emit(changed)
    elif changed.dry_run:
        session.say(f"  the rollout of {name} would be {verb}; nothing was changed")
    elif changed.change == "unchanged" and verb == "resumed":
        raise Failure(
            f"the rollout of {name} is not paused", f"omnitide rollout status {called(namespace, name)}", Exit.CONFLICT
        )
    else:
        tell(session, changed, f"rollout of {name}", verb, began)
