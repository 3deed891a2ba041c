"""`omnitide down`: end what runs here, agents first said goodbye to, then node proxy and Nexus."""

import time
from typing import Annotated

import typer

from omnitide.cli.session import session_of


def down(
    context: typer.Context,
    keep_agents: Annotated[
        bool, typer.Option("--keep-agents", help="Leave them running; the next `up` finds them again.")
    ] = False,
    grace: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time for agents to end, instead of their own: 5s.")
    ] = None,
) -> None:
    """Stop the fabric's processes on this machine: agents, node proxy, Nexus.

    What is deployed stays deployed: the next `up` starts it again.
    """
    from omnitide.cli.durations import milliseconds
    from omnitide.cli.fabric import kept
    from omnitide.cli.fabric.ending import stop_instances, stop_others
    from omnitide.cli.fabric.foreground import end_processes
    from omnitide.cli.fabric.layout import layout_of
    from omnitide.cli.fabric.leaving import begin_leaving
    from omnitide.cli.fabric.node import identity_of
    from omnitide.cli.fabric.processes import locked
    from omnitide.cli.fabric.secret_files import remove_secret_files
    from omnitide.model.quantity import format_duration

    session = session_of(context)
    layout = layout_of(session)
    grace_ms = milliseconds(grace, "--grace") if grace is not None else None
    if not layout.data.is_dir():
        session.say(f"  nothing is up: there is no {layout.data}")
        return
    began = time.monotonic()
    with locked(layout):
        # Where it runs, if the settings have changed since it was started.
        node = kept.find(layout, "node")
        folders = {layout.node, *([node.folder] if node else ())}
        # Where Nexus goes on elsewhere, it is told how the instances end. Where it ends too, or nobody can be told, the
        # proxy ends before its instances: it would take their ends for crashes and start them again.
        told = not keep_agents and kept.find(layout, "nexus") is None and begin_leaving(layout)
        ended = [] if told else end_processes(layout, "node")
        stopped = 0
        if not keep_agents:
            keepers = [keeper for folder in folders for keeper in layout._replace(node=folder).keepers()]
            stopped = stop_instances(session, keepers, grace_ms)
            for folder in folders:
                identifier = identity_of(layout._replace(node=folder))[1]
                stopped += stop_others(session, folder, identifier, grace_ms).stopped
        ended += end_processes(layout, *(("node", "nexus") if told else ("nexus",)))
        kept.wait_for_end(layout)
        if not keep_agents:
            remove_secret_files(folders)
    took = format_duration(round((time.monotonic() - began) * 1000))
    if session.plain:
        session.emit({"ended": ended, "instances_stopped": stopped, "data": str(layout.data)})
    elif not ended and not stopped:
        session.say("  nothing is up")
    else:
        agents = f"{stopped} instance{'' if stopped == 1 else 's'}, " if stopped else ""
        session.say(f"  ended {agents}{' and '.join(ended) or 'the keeper'} in {took}")
