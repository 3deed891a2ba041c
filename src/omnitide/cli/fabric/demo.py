"""`omnitide demo`: a fabric to look at, whose machines exist in memory alone."""

import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.cli.fabric.layout import Layout, Ready
    from omnitide.demo.orders import Progress
    from omnitide.demo.stage import Served, Stage, Wish

MAX_NODES: Final = 5000
MAX_INSTANCES: Final = 20_000
POLL_S: Final = 0.5

_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]


class _Ended(Exception):
    pass


def demo(
    context: typer.Context,
    nodes: Annotated[int, typer.Option(min=1, max=MAX_NODES, help="Simulated machines.")] = 100,
    agents: Annotated[int, typer.Option(min=0, max=250, help="Different agents.")] = 40,
    instances: Annotated[
        int | None,
        typer.Option(
            min=0, max=MAX_INSTANCES, help="All replicas together, else 6 a machine, and 1 for each beyond 200."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=1 << 31, help="The same one plays the same life.")] = 1,
    speed: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Hours of its day in one of ours: at 60 a day takes 24 minutes.")
    ] = 60.0,
    api_port: Port = 0,
    node_port: Port = 0,
    grpc_port: Port = 0,
) -> None:
    """Play a fabric: a real Nexus, with simulated machines that live a believable life. Stays until Ctrl-C.

    Agents are released, scaled by the time of day and crash; machines are drained, lose power and come back; one agent
    never gets far, and one waits for a machine that nobody has. Nothing is executed: what runs is made up, its logs and
    figures too, and all of it is marked as a demo. Machines speak the real protocol through the real node proxy.

    It has ports and a folder of its own and touches no other fabric. It prints a link to its panel, and the folder by
    which other commands find it: in another terminal, `omnitide top --data DIR`. In the end all of it is gone; --data
    names a folder that stays, and a demo that goes on from there.
    """
    from omnitide.cli.exits import Exit, Failure
    from omnitide.config.folders import settled
    from omnitide.demo.stage import Ports, Stage, StageFailed, Wish
    from omnitide.demo.workloads import usual_instances
    from omnitide.security.private_files import InsecureFile

    session = session_of(context)
    folder = settled(session.options.data) if session.options.data else None
    wish = Wish(nodes, agents, usual_instances(nodes) if instances is None else instances, seed, speed)
    stage = Stage(folder, wish)
    began = time.monotonic()
    with _ending():
        try:
            stage.open()
            served = stage.nexus(Ports(api_port, node_port, grpc_port))
            _follow(session, stage, served, wish)
            _tell(session, stage, served, wish, time.monotonic() - began)
            while not (gone := stage.ended()):
                time.sleep(POLL_S)
            raise StageFailed(gone)
        except _Ended:
            session.say("  ending")
        except StageFailed as error:
            hint = f"its logs: {stage.data}" if stage.kept else "its logs stay with --data DIR"
            raise Failure(str(error), hint, Exit.FAILED) from None
        except InsecureFile as error:
            raise Failure(f"{error.path}: {error.problem}", error.hint, Exit.FAILED) from None
        except OSError as error:
            raise Failure(f"the demo's folder {stage.data} cannot be used: {error.strerror}", "--data DIR") from None
        finally:
            for number in _ENDINGS:
                signal.signal(number, signal.SIG_IGN)
            stage.close()


@contextmanager
def _ending() -> Generator[None]:
    """Each of the ways to be told to end raises _Ended."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise _Ended

    before = {number: signal.signal(number, end) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(session: Session, stage: "Stage", served: "Served", wish: "Wish") -> None:
    """Show how far the machines have come: one line that changes on a terminal, else a line now and then."""
    live = sys.stdout.isatty() and not session.quiet
    last = ""
    for progress in stage.machines(served):
        text = f"  {_words(progress, wish)}"
        if live:
            print(f"\r\x1b[K{text}", end="", flush=True)
        else:
            step = _words(progress, wish, most=4)
            if step != last:
                session.say(text)
            last = step
    if live:
        print("\r\x1b[K", end="", flush=True)


def _words(progress: "Progress", wish: "Wish", most: int = 0) -> str:
    """`most`: only so many different numbers of each, for those who print line by line."""

    def number(have: int, of: int) -> int:
        return have if not most else have * most // max(of, 1)

    if progress.joined < wish.nodes:
        joined, live = number(progress.joined, wish.nodes), number(progress.live, wish.nodes)
        return f"joined {joined} of {wish.nodes}" + ("" if most else f", {live} live")
    if progress.live < wish.nodes:
        return f"live {number(progress.live, wish.nodes)} of {wish.nodes}"
    return f"{wish.nodes} nodes live, deployed {number(progress.deployed, wish.agents)} of {wish.agents} agents"


def _tell(session: Session, stage: "Stage", served: "Served", wish: "Wish", seconds: float) -> None:
    from omnitide.cli.fabric.up import panel_link
    from omnitide.cli.show.table import paint
    from omnitide.cli.show.visible import visible
    from omnitide.demo.stage import summary

    layout, ready = _layout(stage.data)
    link = panel_link(layout)
    if session.plain:
        pids = {"nexus_pid": stage.nexus_pid, "machines_pid": stage.machines_pid}
        session.emit({**summary(served, stage.data, wish), **pids, "panel": link, "seconds": round(seconds, 3)})
        return

    def line(title: str, text: str) -> None:
        session.say_painted(f"  {paint(f'{title:<9}', 'bold', session.color)} {visible(text)}")

    line("Demo", f'fabric "{served.fabric_id}"   {wish.nodes} simulated nodes, {wish.agents} agents in {seconds:.1f} s')
    if link:
        line("Panel", f"{link}   (one-time link)")
    line("API", f"{ready.url}   (token: {layout.token_file})")
    line("Commands", f"with --data {layout.data}, or: export OMNITIDE_DATA={layout.data}")
    line("Next", f"omnitide --data {layout.data} status    ... agents    ... events --follow    ... panel")
    session.say("  Ctrl-C ends all of it" + (f"; {layout.data} stays" if stage.kept else " and leaves nothing behind"))


def _layout(data: Path) -> "tuple[Layout, Ready]":
    """With the profile by which other commands find this demo by `--data`."""
    from omnitide.cli.fabric.layout import Layout
    from omnitide.cli.fabric.nexus import remember
    from omnitide.sdk.target import PROFILE_NAME

    layout = Layout(data, data / "nexus", data / "node")
    ready = layout.ready()
    assert ready is not None, "it serves"
    remember(layout, ready, data / PROFILE_NAME)
    return layout, ready
