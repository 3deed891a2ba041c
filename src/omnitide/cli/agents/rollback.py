"""`omnitide rollback`: an earlier version's spec again."""

import time
from typing import Annotated

import typer

from omnitide.cli.agents.change import AgentName, Wait, finish
from omnitide.cli.agents.deploy import Timeout, seconds_of
from omnitide.cli.session import session_of


def rollback(
    context: typer.Context,
    name: AgentName,
    to: Annotated[
        int,
        typer.Option(
            "--to",
            metavar="VERSION",
            min=0,
            show_default=False,
            help="Its number; left out: the newest with another spec that is known to work.",
        ),
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and change nothing.")] = False,
    wait: Wait = True,
    timeout: Timeout = "5m",
) -> None:
    """Give an agent the spec of an earlier version again, as a new version that rolls out like any other.

    Replicas that still run that spec are kept as they are.

    `omnitide history AGENT` lists the versions.
    """
    session = session_of(context)
    namespace, agent = session.name(name)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        began = time.monotonic()
        changed = client.roll_back_agent(agent, to, namespace=namespace, dry_run=dry_run)
        if changed.plan is not None and not session.plain:
            for one in changed.plan.differences:
                session.say(f"  {one.path}: {one.before or '(none)'} -> {one.after or '(none)'}")
            for note in changed.plan.note.splitlines():
                session.say(f"  {note}")
        if dry_run:
            if session.plain:
                session.emit(changed)
            else:
                from omnitide.cli.show.outlook import foretell

                wanted = {"verb": "agent.rollback", "name": agent, "namespace": namespace, "version": to}
                foretell(session, client, [wanted])
            return
        finish(session, client, changed, began, limit_s, wait=wait)
