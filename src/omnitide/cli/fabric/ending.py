"""Ending what a machine's keepers run, and saying what that waits for."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.show.words import plural
from omnitide.config.emptying import MARGIN_S, Emptied, used
from omnitide.model.spec import MAX_GRACE_MS

if TYPE_CHECKING:
    from omnitide.cli.session import Session
    from omnitide.node.keeper.launch import Talk


QUIET_S: Final = 0.5
"""What ends within it needs no words."""
AGAIN_S: Final = 5.0
NAMED: Final = 5


def stop_instances(session: "Session", keepers: Iterable[Path], grace_ms: int | None) -> int:
    """End the keepers with all that they run; how many instances that were. Raises Failure."""
    return sum(_stop(session, folder, grace_ms) for folder in keepers)


class Others(NamedTuple):
    stopped: int = 0
    wrong: tuple[str, ...] = ()
    """What may go on running, and why; it has been told."""


def stop_others(session: "Session", node: Path, node_id: str, grace_ms: int | None) -> Others:
    """End what a node runs that no keeper does, its containers. Raises Failure."""
    import subprocess
    import sys

    if not node_id or not used(node):
        return Others()
    grace = [] if grace_ms is None else ["--grace-ms", str(grace_ms)]
    program = [sys.executable, "-P", "-m", "omnitide.node.emptying", "--data", str(node), "--node-id", node_id, *grace]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as emptying:
        began, due = time.monotonic(), QUIET_S
        while True:
            try:
                answer, trouble = emptying.communicate(timeout=QUIET_S)
                break
            except subprocess.TimeoutExpired:
                waited = time.monotonic() - began
                if waited >= due:
                    due = waited + AGAIN_S
                    what = "looking for containers that run here, and ending them"
                    session.note(f"  {what}; {waited:.0f} s so far (at once: --grace 0s)")
    try:
        told = msgspec.json.decode(answer, type=Emptied)
    except msgspec.MsgspecError:
        lines = trouble.decode(errors="replace").strip().splitlines()
        raise Failure(
            f"what runs besides processes could not be ended: {lines[-1] if lines else 'no answer'}"
        ) from None
    wrong = (*told.problems, *(f"{name} did not end" for name in told.left[:NAMED]))
    for one in wrong:
        # An engine that is away must not keep the rest of the fabric up.
        session.note(f"  not everything could be ended: {one}")
    return Others(told.stopped, wrong)


def _stop(session: "Session", folder: Path, grace_ms: int | None) -> int:
    from omnitide.node.keeper.launch import KeeperUnavailable, Talk
    from omnitide.node.keeper.protocol import Refused

    try:
        with Talk(str(folder)) as talk, Talk(str(folder)) as asking:
            live = _live(asking)
            talk.ask("shutdown", stop_runs=True, **({} if grace_ms is None else {"grace_ms": grace_ms}))
            longest_s = (MAX_GRACE_MS if grace_ms is None else grace_ms) / 1000 + MARGIN_S
            _wait(session, talk, asking, folder, longest_s)
            return len(live)
    except KeeperUnavailable:
        return 0
    except Refused as error:
        raise Failure(f"the keeper of {folder} does not stop: {error}") from None


def _wait(session: "Session", talk: "Talk", asking: "Talk", folder: Path, longest_s: float) -> None:
    from omnitide.node.keeper.launch import KeeperUnavailable

    began = time.monotonic()
    told, due = "", 0.0
    while not talk.wait_for_hangup(QUIET_S):
        waited = time.monotonic() - began
        if waited > longest_s:
            raise Failure(f"the keeper of {folder} still waits after {waited:.0f} s", code=Exit.TIMEOUT)
        try:
            live = _live(asking)
        except KeeperUnavailable:
            continue  # it has just ended
        text = _words(live)
        if live and (text != told or waited >= due):
            told, due = text, waited + AGAIN_S
            session.note(f"  waiting for {text}; {waited:.0f} s so far (at once: --grace 0s)")


def _words(live: list[str]) -> str:
    more = f" and {len(live) - NAMED} more" if len(live) > NAMED else ""
    return f"{plural(len(live), 'instance')} to end: {', '.join(live[:NAMED])}{more}"


def running_here(keepers: Iterable[Path]) -> list[str]:
    """Names of the instances that the keepers run. One that does not answer has nothing to tell."""
    from omnitide.node.keeper.launch import KeeperUnavailable, Talk
    from omnitide.node.keeper.protocol import Refused

    found: list[str] = []
    for folder in keepers:
        try:
            with Talk(str(folder)) as talk:
                found += _live(talk)
        except (KeeperUnavailable, Refused):
            continue
    return found


def _live(asking: "Talk") -> list[str]:
    """Names of what runs. Raises KeeperUnavailable."""
    found: list[str] = []
    after: dict[str, object] = {}
    while True:
        page = asking.ask("list", **after)
        runs = cast("list[dict[str, object]]", page.get("runs", []))
        found += [str(run.get("name") or run.get("instance")) for run in runs if run.get("exit") is None]
        if not page.get("more") or not runs:
            return found
        after = {"instance": runs[-1]["instance"], "attempt": runs[-1]["attempt"]}
