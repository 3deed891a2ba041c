"""`omnitide rollback`: an earlier version's spec again."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from omnitide.cli.agents.change import AgentName, Wait, finish
from omnitide.cli.agents.deploy import Timeout, seconds_of
from omnitide.cli.session import agreed, session_of
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.sdk.client import Client


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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Give an agent the spec of an earlier version again, as a new version that rolls out like any other.

    Replicas that still run that spec are kept as they are. Of a version that is known to have failed it is said how,
    and on a terminal asked whether to go on.

    `omnitide history AGENT` lists the versions.
    """
    session = session_of(context)
    namespace, agent = session.name(name)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        fault = _fault(client, namespace, agent, to)
        if fault:
            session.warn(f"version {to} did not work: {fault}")
            if not (dry_run or yes or session.plain) and sys.stdin.isatty():
                agreed(f"  roll {called(namespace, agent)} back to version {to} all the same?")
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


def _fault(client: "Client", namespace: str, name: str, version: int) -> str:
    """What is known to have failed in the version that somebody named; empty: nothing is, or none was named."""
    from omnitide.sdk.errors import FabricError

    if not version:
        return ""  # Nexus takes one that is known to work
    try:
        found = client.list_agent_versions(name, namespace=namespace)
    except FabricError:
        return ""  # the rollback itself says what is wrong, and who may ask for it need not be allowed to look
    return next((one.fault for one in found.items if one.number == version), "")
