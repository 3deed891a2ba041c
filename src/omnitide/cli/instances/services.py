"""`omnitide services`: where the ports of agents can be reached."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import agents
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Column

if TYPE_CHECKING:
    from omnitide.model.services import ServiceList
    from omnitide.sdk.client import Client

_COLUMNS: Final = (
    Column("NAMESPACE", rank=2),
    Column("SERVICE"),
    Column("PORT"),
    Column("INSTANCE"),
    Column("NODE", rank=1),
    Column("ADDRESS"),
    Column("READY"),
)


def services(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="AGENT", help="Only of this agent.", autocompletion=agents)
    ] = None,
    watch: WatchOption = False,
) -> None:
    """Show the ports of agents: which replica listens where, and whether it is ready to be talked to.

    What is unknown since a while is shown as it was then: its node is not heard from, or its runtime, such as the
    container engine, does not answer there. It is ready then only if a probe over the network says so.
    """
    from omnitide.cli.instances.resolve import require_namespace

    session = session_of(context)

    def read(client: "Client") -> "ServiceList":
        from omnitide.model.services import ServiceList

        if name:
            namespace, plain = session.name(name)
            items = (client.get_service(plain, namespace=namespace),)
        else:
            require_namespace(session, client)
            given = session.options.namespace
            among = [given] if given else [one.name for one in client.namespaces()]
            items = tuple(one for namespace in among for one in client.services(namespace=namespace))
        return ServiceList(items=items, revision=client.seen)

    show(session, read, _lines, watch=watch)


def _lines(session: Session, found: "ServiceList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import ago

    rows: list[list[str]] = []
    for service in found.items:
        for one in service.endpoints:
            place = f"{one.address or '?'}:{one.port}" if ":" not in one.address else f"[{one.address}]:{one.port}"
            port = one.port_name if one.protocol == "tcp" else f"{one.port_name}/{one.protocol}"
            ready = "yes" if one.ready else "no"
            if one.unknown_since_ms:
                ready += f", unknown since {ago(one.unknown_since_ms)}"
            rows.append([service.namespace, service.name, port, one.name, one.node, place, ready])
    if not rows:
        return ["nothing here has ports that could be reached"]
    return table(_COLUMNS, rows, color=session.color, width=width)
