"""`omnitide version`: of this program, and of the Nexus that it talks to."""

import platform
from typing import Annotated

import typer

from omnitide import __version__
from omnitide.cli.session import session_of


def version(
    context: typer.Context,
    client_only: Annotated[bool, typer.Option("--client", help="Do not ask Nexus.")] = False,
) -> None:
    """Show the versions of this program and of Nexus."""
    from omnitide.sdk.errors import FabricError

    session = session_of(context)
    told: dict[str, object] = {"client": __version__, "python": platform.python_version()}
    why = ""
    if not client_only:
        try:
            with session.client() as client:
                told["nexus"] = client.get_version().version
        except FabricError as error:
            why = error.detail
    if session.plain:
        session.emit(told)
        return
    print(f"omnitide {__version__}")
    if not client_only:
        print(f"Nexus    {told.get('nexus') or f'unknown: {why}'}")
