"""`omnitide top`: the fabric live, in a terminal. What it draws with is loaded when it draws."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.cli.globals import Globals

COLOURS: Final = ("terminal", "dark", "light")
WIDTH: Final = 100
"""Of what is not shown to a terminal."""


def top(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end; needs no terminal.")] = False,
    colours: Annotated[
        str, typer.Option("--colours", metavar="NAME", help="terminal: those of the terminal; dark; light.")
    ] = "terminal",
) -> None:
    """Watch the fabric live: what is wrong first, nodes, agents, instances, events, charts; and act on them.

    1 to 6 are its pages, Ctrl-K finds pages, objects and actions by name, `?` lists the keys, q ends it. Everything is
    asked before it is done, with what is lost and the same as a command.

    With -n agents, jobs and instances of that namespace are shown, and all nodes. With --once, -o json gives one object
    of status, nodes, agents, instances and events.
    """
    from omnitide.cli.exits import Exit, Failure

    session = session_of(context)
    if colours not in COLOURS:
        raise Failure(f"--colours {colours}: must be one of {', '.join(COLOURS)}", code=Exit.USAGE)
    if once:
        _print(session)
        return
    if session.plain:
        raise Failure("without --once top draws and writes no data", "omnitide top --once -o json", Exit.USAGE)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure("top needs a terminal, and this is none", "omnitide top --once prints one picture", Exit.USAGE)
    if os.environ.get("TERM", "dumb") == "dumb":
        raise Failure("the terminal says that it can only write (TERM=dumb)", "omnitide top --once", Exit.USAGE)
    _draw(session, colours)


def _draw(session: Session, colours: str) -> None:
    import asyncio

    from omnitide.cli.instances.resolve import check_namespace
    from omnitide.cli.top.app import Top

    if session.options.no_color:
        os.environ["NO_COLOR"] = "1"

    async def run() -> None:
        async with session.async_client() as client:
            # A wrong address, token or name is told before the screen is taken.
            await client.get_fabric()
            if session.options.namespace:
                check_namespace(session.options.namespace, [one.name async for one in client.namespaces()])
            await Top(
                client, namespace=session.options.namespace, flags=flags_of(session.options), colours=colours
            ).run_async()

    asyncio.run(run())


def flags_of(options: "Globals") -> list[str]:
    """Options of this call that say which fabric is meant: for commands that are shown or run from here."""
    named = (
        ("--url", options.url),
        ("--token-file", options.token_file),
        ("--ca", options.ca),
        ("--config", options.config),
        ("--data", options.data),
    )
    return [word for flag, value in named if value for word in (flag, value)]


def _print(session: Session) -> None:
    from omnitide.cli.instances.resolve import require_namespace
    from omnitide.cli.show.table import terminal_width
    from omnitide.cli.top.lines import printed
    from omnitide.cli.top.picture import picture_lines, picture_of, take_scene

    with session.client() as client:
        require_namespace(session, client)
        scene = take_scene(client, session.options.namespace)
    if session.plain:
        session.emit(picture_of(scene))
        return
    lines = picture_lines(scene, terminal_width() or WIDTH)
    sys.stdout.write(printed(lines, color=session.color))
