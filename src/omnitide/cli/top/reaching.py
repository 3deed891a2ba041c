"""The way from an object into what it runs: the output that is written there, and a terminal in an instance."""

import asyncio
import contextlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from omnitide.cli.top.details import title_of
from omnitide.cli.top.job_table import job_name
from omnitide.cli.top.output_screen import Output
from omnitide.cli.top.targets import MOST_SUBJECTS, Target, subject_of
from omnitide.cli.top.words import visible
from omnitide.model.objects import Instance, JobSummary

if TYPE_CHECKING:
    from textual.app import App

    from omnitide.sdk.async_client import AsyncClient

_REACHED: Final = ("running", "stopping")


def output_of(targets: Sequence[Target | JobSummary], client: "AsyncClient") -> Output | str:
    """The screen of what these write, in one stream; or why there is none."""
    placed = [one for one in targets if not isinstance(one, Instance) or one.node]
    if not placed:
        return "it is on no node yet" if targets else "nothing is chosen"
    if len(placed) > MOST_SUBJECTS:
        return f"{len(placed)} are chosen; {MOST_SUBJECTS} can be shown together"
    of = [_subject(one) for one in placed]
    first = placed[0]
    title = f"job {job_name(first)}" if isinstance(first, JobSummary) else title_of(first)
    more = f" and {len(of) - 1} more" if len(of) > 1 else ""
    many = len(of) > 1 or not isinstance(first, Instance | JobSummary)
    return Output(of, f"{visible(title)}{more}", client, many=many)


def _subject(one: Target | JobSummary) -> str:
    return f"job:{one.namespace}/{one.name}" if isinstance(one, JobSummary) else subject_of(one)


def unreachable(one: Instance) -> str:
    """Why there is no terminal in it; empty if there can be one."""
    return "" if one.status in _REACHED else f"it is {one.status}, and only what runs can be reached into"


async def give_terminal(app: "App[None]", one: Instance, program: str, flags: Sequence[str]) -> None:
    """Give the terminal to `omnitide exec`, and take it back when that has ended. `flags`: those that name the fabric.
    Nothing may be drawn meanwhile."""
    command = [sys.executable, "-P", "-m", "omnitide.cli", "exec", "-it", *flags, one.id, "--"]
    # In a batch: nothing of ours is drawn before the terminal is ours again.
    with app.batch_update(), app.suspend():
        process = await asyncio.create_subprocess_exec(*command, *shlex.split(program))
        code = await process.wait()
        if code:
            print(f"\nit ended with exit code {code}; Enter goes back to top ", end="", flush=True)
            with contextlib.suppress(OSError):
                await asyncio.to_thread(sys.__stdin__.readline if sys.__stdin__ else lambda: "")
