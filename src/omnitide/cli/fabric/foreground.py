"""`omnitide up --foreground`: stays beside the supervisor until told to end; agents go on without them."""

import signal
from collections.abc import Sequence
from types import FrameType

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric import kept
from omnitide.cli.fabric.layout import Layout
from omnitide.cli.fabric.processes import locked
from omnitide.cli.session import Session
from omnitide.supervisor.client import Connection, SupervisorRefused, SupervisorUnavailable


class _Ended(Exception):
    pass


def stay(session: Session, layout: Layout, names: Sequence[str]) -> None:
    """Returns after SIGINT or SIGTERM with all of them ended, or when somebody else has ended them.

    Raises Failure where one of them is not started again. `names`: nexus, node.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise _Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        words = "  Ctrl-C ends Nexus and node proxy; agents go on, and are found again by the next up."
        while _follow(session, layout, names, words):
            words = ""
            # The supervisor was killed: what it kept goes on, and gets another one.
            session.note("the supervisor is gone; starting it again")
            with locked(layout):
                kept.supervise(layout)
    except _Ended:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        session.say("  ending")
        with locked(layout):
            end_processes(layout, *names)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(session: Session, layout: Layout, names: Sequence[str], words: str) -> bool:
    """Tell what happens until the supervisor ends; whether it should not have. Raises Failure.

    `words` are said once nothing that happens is missed any more.
    """
    try:
        with Connection(str(layout.data), None) as connection:
            connection.ask("follow")
            if words:
                session.say(words)
            for text in connection.happenings():
                session.note(f"  {text}")
    except (SupervisorUnavailable, SupervisorRefused):
        pass
    children = kept.read_record(layout).children
    for name in names:
        if name in children and children[name].gave_up:
            raise Failure(
                f"{kept.TITLES[name]} is not started again: {children[name].gave_up}",
                f"its log: {children[name].log}",
                Exit.FAILED,
            )
    return any(name in children and children[name].wanted for name in names)


def end_processes(layout: Layout, *names: str) -> list[str]:
    """The proxy first, which says goodbye to Nexus, then Nexus. What was ended, in words. Raises Failure."""
    ended = [kept.stop(layout, name) for name in ("node", "nexus") if name in names]
    return [text for text in ended if text]
