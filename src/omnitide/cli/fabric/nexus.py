"""Nexus on this machine: started, kept, restarted where its settings have changed, waited for until it serves."""

from pathlib import Path
from typing import NamedTuple

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric import kept, processes, told
from omnitide.cli.fabric.layout import Layout, Ready
from omnitide.cli.fabric.told import Flags
from omnitide.sdk.target import Profile, write_profile

READY_S = 30.0


class Running(NamedTuple):
    ready: Ready
    fresh: bool
    """It was started just now."""
    changed: tuple[str, ...] = ()
    """Why it was started again."""
    unit: str = ""
    """Of systemd, where that keeps it."""


def ensure_nexus(layout: Layout, given: Flags) -> Running:
    """The Nexus of the folder, started now if there is none; returns when it serves.

    What runs keeps the flags that it was started with, as far as no others are given. Raises Failure.
    """
    found = kept.find(layout, "nexus")
    before = kept.kept(layout, "nexus")
    if found is None:
        # One that was ended by `down` begins anew; one that was not goes on as it was told.
        flags = {**told.flags_of(before.arguments), **given} if before.wanted else given
        return _start(layout, flags, told.settings_of("nexus", flags), ())
    if found.folder != layout.nexus:
        raise Failure(
            f"Nexus runs on {found.folder}, and nexus.data_dir is {layout.nexus} now", "omnitide down", Exit.CONFLICT
        )
    if found.unit:
        return Running(_wait(layout, 0, fresh=False), fresh=False, unit=found.unit)
    kept.hold(layout, "nexus", found)
    ready = _wait(layout, processes.size_of(layout.nexus_log), fresh=False)
    before = kept.kept(layout, "nexus")
    flags = {**told.flags_of(before.arguments), **given}
    settings = told.settings_of("nexus", flags)
    other_file = told.config_of(flags) != kept.told_config(before.arguments)
    changed = tuple(told.changes(before.settings, settings, ready, other_file=other_file))
    if not changed:
        return Running(ready, fresh=False)
    kept.stop(layout, "nexus")
    return _start(layout, flags, settings, changed)


def _start(layout: Layout, flags: Flags, settings: dict[str, str], changed: tuple[str, ...]) -> Running:
    _clear(layout)
    begin = processes.size_of(layout.nexus_log)
    kept.start(layout, "nexus", layout.nexus, told.words_of(flags), {}, settings)
    return Running(_wait(layout, begin, fresh=True), fresh=True, changed=changed)


def _clear(layout: Layout) -> None:
    """What a killed Nexus left. What a live one wrote is not ours to take away. Raises Failure."""
    ready = layout.ready()
    if ready is not None and processes.runs_module(processes.NEXUS, ready.pid):
        raise Failure(
            f"{layout.ready_file} is of process {ready.pid}, a Nexus that runs and is not known to be of this folder",
            f"end it, or if it is another fabric's: rm {layout.ready_file}",
            Exit.CONFLICT,
        )
    layout.ready_file.unlink(missing_ok=True)


def _wait(layout: Layout, begin: int, *, fresh: bool) -> Ready:
    def serves(pid: int) -> Ready | None:
        ready = layout.ready()
        return ready if ready is not None and ready.pid == pid else None

    return kept.wait_until(layout, "nexus", serves, READY_S, begin, fresh=fresh)


def remember(layout: Layout, ready: Ready, *places: Path) -> Profile:
    """Write the profiles by which later commands find the fabric without being told."""
    profile = Profile(
        url=ready.url, ca_file=str(layout.ca_file), token_file=str(layout.token_file), fabric_id=ready.fabric_id
    )
    for place in places:
        write_profile(place, profile)
    return profile
