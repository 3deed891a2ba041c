"""`omnitide up --foreground`: watches over Nexus and node proxy until told to end; agents go on without them."""

import signal
import time
from collections import deque
from types import FrameType

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric import node as nodes
from omnitide.cli.fabric import processes
from omnitide.cli.fabric.layout import Layout
from omnitide.cli.fabric.nexus import STOP_S, ensure_nexus, find_nexus
from omnitide.cli.session import Session

LOOK_S = 0.5
MAX_RESTARTS = 5
WINDOW_S = 60.0
"""One that dies more than MAX_RESTARTS times within this is not started again."""


class _Ended(Exception):
    pass


def stay(session: Session, layout: Layout, arguments: list[str], *, with_nexus: bool, with_node: bool) -> None:
    """Returns after SIGINT or SIGTERM, with both ended. Raises Failure where one of them keeps dying."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise _Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    restarts: deque[float] = deque(maxlen=MAX_RESTARTS)
    try:
        session.say("  Ctrl-C ends Nexus and node proxy; agents go on, and are found again by the next up.")
        while True:
            time.sleep(LOOK_S)
            if with_nexus and find_nexus(layout) is None:
                _count(restarts, "Nexus", layout.nexus_log)
                session.note("Nexus has ended; starting it again")
                ensure_nexus(layout, arguments, detached=True)
            if with_node and nodes.find_node(layout) is None:
                _count(restarts, "the node proxy", layout.node_log)
                session.note("the node proxy has ended; starting it again")
                nodes.start_node(layout)
    except _Ended:
        session.say("  ending")
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        end_processes(layout, node=with_node, nexus=with_nexus)
        for number, handler in before.items():
            signal.signal(number, handler)


def end_processes(layout: Layout, *, node: bool, nexus: bool) -> list[str]:
    """The proxy first, which says goodbye to Nexus, then Nexus. What was ended, in words."""
    ended: list[str] = []
    for wanted, process, name, seconds in (
        (node, nodes.find_node(layout) if node else None, "node proxy", nodes.STOP_S),
        (nexus, find_nexus(layout) if nexus else None, "Nexus", STOP_S),
    ):
        if wanted and process is not None:
            orderly = processes.stop(process, seconds)
            ended.append(name if orderly else f"{name} (killed: it had not ended after {seconds:.0f} s)")
    return ended


def _count(restarts: "deque[float]", what: str, log: object) -> None:
    now = time.monotonic()
    if len(restarts) == MAX_RESTARTS and now - restarts[0] < WINDOW_S:
        raise Failure(f"{what} keeps ending", f"its log: {log}", Exit.FAILED)
    restarts.append(now)
