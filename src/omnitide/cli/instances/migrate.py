"""`omnitide migrate`: one replica to another node, without a gap."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import agents_and_instances, nodes
from omnitide.cli.agents.change import Wait
from omnitide.cli.agents.deploy import Timeout, seconds_of
from omnitide.cli.agents.follow import HOPELESS_ATTEMPTS
from omnitide.cli.exits import Exit, Failure
from omnitide.cli.instances.restarting import hope
from omnitide.cli.session import session_of
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client

LOOK_S: Final = 0.1
_GONE: Final = ("stopped", "failed", "lost", "succeeded")


def migrate(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="INSTANCE", help="Such as hello-2 or hello-2.1.", autocompletion=agents_and_instances),
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="NODE", help="Left out: any other that can take it.", autocompletion=nodes)
    ] = "",
    leave_volumes: Annotated[
        bool, typer.Option("--leave-volumes", help="Even if it leaves volumes behind that stay on their node.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say where it would go and change nothing.")] = False,
    wait: Wait = True,
    timeout: Timeout = "5m",
) -> None:
    """Move one replica: it starts on the other node, and stops here once it is available there.

    Refused, with the reasons, where it does not fit there. If it does not become available there, it stays here:
    `omnitide explain` tells why, and `omnitide restart` of the new instance lets it go anywhere.
    """
    from omnitide.cli.instances.resolve import find_instance

    session = session_of(context)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        began = time.monotonic()
        found = find_instance(session, client, name)
        if found is None:
            raise Failure(f"{name!r} names no instance", "omnitide ps", Exit.NOT_FOUND)
        made = client.migrate_instance(found.id, to, leave_volumes=leave_volumes, dry_run=dry_run)
        following = made.following
        if dry_run or following is None:
            if session.plain:
                session.emit(made)
            else:
                session.say(f"  {found.name} would go from {found.node} to {made.node}; nothing was changed")
            return
        session.say(
            f"  {following.name} starts on {made.node}; {found.name} runs on {found.node} until it is available"
        )
        if wait:
            _until_moved(client, found, following, began + limit_s)
            session.say(f"  {found.name} moved in {time.monotonic() - began:.2f} s")
        if session.plain:
            session.emit(made)


def _until_moved(client: "Client", old: "Instance", new: "Instance", deadline: float) -> None:
    """Raises Failure when the time is up, or the new one has failed."""
    from omnitide.sdk.errors import NotFound

    while True:
        try:
            now = client.get_instance(new.id)
        except NotFound:
            raise Failure(f"{new.name} has been replaced meanwhile", "omnitide ps", Exit.CONFLICT) from None
        try:
            gone = client.get_instance(old.id).status in _GONE
        except NotFound:
            gone = True
        if gone and now.status == "running":
            return
        if now.ends >= HOPELESS_ATTEMPTS:
            hope(now)
        if now.status == "failed":
            ending = now.exit.text if now.exit is not None else "no exit is known"
            raise Failure(
                f"{new.name} failed: {ending}", f"omnitide explain {called(new.namespace, new.name)}", Exit.ROLLOUT
            )
        if time.monotonic() > deadline:
            raise Failure(
                f"{new.name} is {now.status}; {old.name} still runs",
                f"omnitide explain {called(new.namespace, new.name)}",
                Exit.TIMEOUT,
            )
        time.sleep(LOOK_S)
