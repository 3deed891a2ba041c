"""`omnitide services`: where the ports of agents can be reached."""

from typing import Annotated

import typer

from omnitide.cli.access.names import agents
from omnitide.cli.session import session_of


def services(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="AGENT", help="Only of this agent.", autocompletion=agents)
    ] = None,
) -> None:
    """Show the ports of agents: which replica listens where, and whether it is ready to be talked to."""
    from omnitide.cli.show.table import Column, table, terminal_width

    session = session_of(context)
    with session.client() as client:
        if name:
            namespace, plain = session.name(name)
            found = [client.get_service(plain, namespace=namespace)]
        else:
            found = list(client.services(namespace=session.namespace))
    if session.plain:
        session.emit(found)
        return
    rows: list[list[str]] = []
    for service in found:
        for one in service.endpoints:
            place = f"{one.address or '?'}:{one.port}" if ":" not in one.address else f"[{one.address}]:{one.port}"
            port = one.port_name if one.protocol == "tcp" else f"{one.port_name}/{one.protocol}"
            rows.append([service.name, port, one.name, one.node, place, "yes" if one.ready else "no"])
    if not rows:
        session.note("nothing here has ports that could be reached")
        return
    columns = [Column(title) for title in ("service", "port", "instance", "node", "address", "ready")]
    for line in table(columns, rows, color=session.color, width=terminal_width()):
        print(line)
