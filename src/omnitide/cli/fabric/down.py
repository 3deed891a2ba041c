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
        str | None, typer.Option(metavar="TIME", help="Time for agents to end, instead of their own.")
    ] = None,
) -> None:
    """Stop the fabric's processes on this machine: agents, node proxy, Nexus.

    What is deployed stays deployed: the next `up` starts it again.
    """
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric import kept
    from omnitide.cli.fabric.ending import stop_instances
    from omnitide.cli.fabric.foreground import end_processes
    from omnitide.cli.fabric.layout import layout_of
    from omnitide.cli.fabric.leaving import begin_leaving
    from omnitide.cli.fabric.processes import locked
    from omnitide.model.quantity import QuantityError, format_duration, parse_duration

    session = session_of(context)
    layout = layout_of(session)
    try:
        grace_ms = parse_duration(grace) if grace is not None else None
    except QuantityError as error:
        raise Failure(str(error), code=Exit.USAGE) from None
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
        ended += end_processes(layout, *(("node", "nexus") if told else ("nexus",)))
        kept.wait_for_end(layout)
    took = format_duration(round((time.monotonic() - began) * 1000))
    if session.plain:
        session.emit({"ended": ended, "instances_stopped": stopped, "data": str(layout.data)})
    elif not ended and not stopped:
        session.say("  nothing is up")
    else:
        agents = f"{stopped} instance{'' if stopped == 1 else 's'}, " if stopped else ""
        session.say(f"  ended {agents}{' and '.join(ended) or 'the keeper'} in {took}")
