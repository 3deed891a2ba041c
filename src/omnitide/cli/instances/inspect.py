"""`omnitide inspect`: everything about one thing, as the API gives it."""

from typing import Annotated

import typer

from omnitide.cli.access.names import inspected
from omnitide.cli.session import session_of


def inspect(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Agent, instance, job or node.", autocompletion=inspected)
    ],
) -> None:
    """Show everything about an agent, an instance, a job or a node (YAML unless told otherwise)."""
    from omnitide.cli.instances.resolve import find_instance
    from omnitide.cli.show.forms import write
    from omnitide.sdk.errors import NotFound

    session = session_of(context)
    form = session.output if session.plain else "yaml"
    namespace, plain = session.name(name)
    with session.client() as client:
        instance = find_instance(session, client, name)
        if instance is not None:
            # By its id: a list leaves out what is told of one alone.
            write(client.get_instance(instance.id), form)
            return
        try:
            write(client.get_agent(plain, namespace=namespace), form)
            return
        except NotFound as unknown:
            first = unknown
        for get in (lambda: client.get_job(plain, namespace=namespace), lambda: client.get_node(name)):
            try:
                write(get(), form)
                return
            except NotFound:
                continue
        raise first
