"""`omnitide exec`: a further program in a running instance, as if it ran here."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import agents_and_instances
from omnitide.cli.exits import Exit, Failure, code_of_program
from omnitide.cli.hearing import hearing
from omnitide.cli.instances import terminal
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.visible import visible_lines

if TYPE_CHECKING:
    from omnitide.model.objects import Instance
    from omnitide.sdk.async_client import AsyncExec
    from omnitide.sdk.client import Client

CHUNK: Final = 64 << 10
SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
"""Whatever ends us ends the program too, and gives the terminal back."""


def exec_(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="INSTANCE",
            help="Instance such as hello-2.1, or an agent: then one of its running replicas.",
            autocompletion=agents_and_instances,
        ),
    ],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="Program and arguments.")],
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Our input is its input.")] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="With a terminal: ours, if -i is there too.")] = False,
    user: Annotated[
        str, typer.Option("--user", metavar="USER", help="Run as this user instead of the instance's.")
    ] = "",
    workdir: Annotated[
        str, typer.Option("--workdir", "-w", metavar="DIR", help="Directory instead of the instance's.")
    ] = "",
    env: Annotated[list[str] | None, typer.Option("--env", "-e", metavar="KEY=VALUE", help="Repeatable.")] = None,
) -> None:
    """Run a further program in a running instance: its directory, user, environment, limits and view of the machine.

    It runs as the user that the instance runs as: the `user` of its spec, else its image's in a container, and else
    the one that the node itself runs as. Where a process or sandbox has a `user` of its spec, --user is refused.

    Its exit code is ours, 128 + n if signal n killed it; 127 if there is no such program, 126 if it cannot be executed;
    troubles of the fabric are 125. With -t every key goes to the program, Ctrl-C too; without, Ctrl-C interrupts it,
    and a second one hangs up. It is killed when we end. That nothing is heard from Nexus is told on stderr; with
    -t once, as the screen is the program's.
    """
    from omnitide.cli.show.errors import tell_fabric_error
    from omnitide.sdk.errors import FabricError

    session = session_of(context)
    variables = dict(_pair(text) for text in env or ())
    keyboard = terminal.require_terminal() if tty and interactive else -1
    try:
        with session.client() as client:
            instance = _running(session, client, name)
        talk = _Talk(session, instance, command, variables, user, workdir, interactive, tty, keyboard)
        with hearing(session, _Once(session) if tty else None):
            code = asyncio.run(talk.run())
    except FabricError as error:
        tell_fabric_error(error, session.options)
        # Any other code could be the program's own.
        raise typer.Exit(code_of_program(error.code)) from None
    raise typer.Exit(code)


def _running(session: Session, client: "Client", name: str) -> "Instance":
    """Raises FabricError, Failure."""
    from omnitide.cli.instances.choosing import running_ones

    try:
        return running_ones(session, client, name)[0]
    except Failure as failure:
        # Any other code could be the program's own.
        raise Failure(failure.what, failure.hint, Exit.RUN_TROUBLE) from None


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Failure(f"--env {text!r} is not KEY=VALUE", code=Exit.USAGE)
    return key, value


class _Once:
    """Says that nothing is heard from Nexus, once, on the screen of a program: it is the program's to draw, and raw."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._told = False

    def __call__(self, text: str) -> None:
        if not self._told and not self._session.options.quiet:
            self._told = True
            print(f"\r\n  {visible_lines(text)}\r", file=sys.stderr, flush=True)


class _Talk:
    """One program, from its start to its end."""

    def __init__(
        self,
        session: Session,
        instance: "Instance",
        command: list[str],
        environment: dict[str, str],
        user: str,
        directory: str,
        interactive: bool,
        tty: bool,
        keyboard: int,
    ) -> None:
        """`keyboard`: descriptor of our terminal if the program gets it, else -1."""
        self._session = session
        self._instance = instance
        self._command = command
        self._environment = environment
        self._user = user
        self._directory = directory
        self._interactive = interactive
        self._tty = tty
        self._keyboard = keyboard
        self._interrupts = 0

    async def run(self) -> int:
        """The exit code. Raises FabricError."""
        rows, columns = terminal.size(self._keyboard if self._keyboard >= 0 else 1)
        async with self._session.async_client() as client:
            program = await client.exec_instance(
                self._instance.id,
                self._command,
                environment=self._environment,
                working_directory=self._directory,
                user=self._user,
                terminal=self._tty,
                rows=rows,
                columns=columns,
            )
            async with program, contextlib.AsyncExitStack() as stack:
                if self._keyboard >= 0:
                    stack.enter_context(terminal.raw(self._keyboard))
                return await self._until_over(program)

    async def _until_over(self, program: "AsyncExec") -> int:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[int] = loop.create_future()

        def end(number: int) -> None:
            if not told.done():
                told.set_result(128 + number)

        def interrupt() -> None:
            self._interrupts += 1
            if self._interrupts > 1:
                end(signal.SIGINT)
            else:
                tasks.append(loop.create_task(program.signal(signal.SIGINT)))

        def resized() -> None:
            tasks.append(loop.create_task(program.resize(*terminal.size(self._keyboard))))

        tasks: list[asyncio.Task[None]] = []
        loop.add_signal_handler(signal.SIGINT, interrupt)
        for number in SIGNALS:
            loop.add_signal_handler(number, end, number)
        if self._keyboard >= 0:
            loop.add_signal_handler(signal.SIGWINCH, resized)
        if self._interactive:
            threading.Thread(target=_feed, args=(loop, program), daemon=True).start()
        else:
            await program.end_input()
        output = asyncio.ensure_future(_show(program))
        try:
            await asyncio.wait((output, told), return_when=asyncio.FIRST_COMPLETED)
            return output.result() if output.done() else told.result()
        finally:
            for number in (signal.SIGINT, signal.SIGWINCH, *SIGNALS):
                loop.remove_signal_handler(number)
            for task in (output, *tasks):
                task.cancel()
            await asyncio.gather(output, *tasks, return_exceptions=True)


async def _show(program: "AsyncExec") -> int:
    """All output, then the exit code."""
    from omnitide.sdk.tunnel import Exited

    while not isinstance(piece := await program.receive(), Exited):
        fd = sys.stderr.fileno() if piece.stream == "stderr" else sys.stdout.fileno()
        try:
            # Not in the loop: while nobody takes our output, the connection still has to be answered.
            await asyncio.to_thread(_write, fd, piece.data)
        except BrokenPipeError:
            return 128 + signal.SIGPIPE
    return 128 + piece.signal if piece.signal is not None else piece.code or 0


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _feed(loop: asyncio.AbstractEventLoop, program: "AsyncExec") -> None:
    """Our input to the program, in a thread: a file or a terminal cannot be waited for in every loop."""
    # RuntimeError: the loop has ended meanwhile, as the program has.
    with contextlib.suppress(RuntimeError, OSError, asyncio.CancelledError):
        while data := os.read(sys.stdin.fileno(), CHUNK):
            asyncio.run_coroutine_threadsafe(program.write(data), loop).result()
        asyncio.run_coroutine_threadsafe(program.end_input(), loop).result()
