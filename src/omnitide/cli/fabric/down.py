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
    from omnitide.cli.fabric import node as nodes
    from omnitide.cli.fabric.foreground import end_processes
    from omnitide.cli.fabric.layout import Layout
    from omnitide.cli.fabric.processes import locked
    from omnitide.model.quantity import QuantityError, format_duration, parse_duration

    session = session_of(context)
    layout = Layout(session.data)
    try:
        grace_ms = parse_duration(grace) if grace is not None else None
    except QuantityError as error:
        raise Failure(str(error), code=Exit.USAGE) from None
    if not layout.data.is_dir():
        session.say(f"  nothing is up: there is no {layout.data}")
        return
    began = time.monotonic()
    with locked(layout):
        # The proxy before its instances: it would take their ends for crashes and start them again.
        ended = end_processes(layout, node=True, nexus=False)
        stopped = 0
        if not keep_agents:
            for keeper in layout.keepers():
                stopped += nodes.stop_instances(keeper, grace_ms)
        ended += end_processes(layout, node=False, nexus=True)
    took = format_duration(round((time.monotonic() - began) * 1000))
    if session.plain:
        session.emit({"ended": ended, "instances_stopped": stopped, "data": str(layout.data)})
    elif not ended and not stopped:
        session.say("  nothing is up")
    else:
        agents = f"{stopped} instance{'' if stopped == 1 else 's'}, " if stopped else ""
        session.say(f"  ended {agents}{' and '.join(ended) or 'the keeper'} in {took}")
