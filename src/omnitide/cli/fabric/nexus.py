"""Nexus on this machine: started, kept, restarted where its settings have changed, waited for until it serves."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric import kept, processes, told
from omnitide.cli.fabric.layout import Layout, Ready
from omnitide.cli.fabric.memory import Memory, keep, recall
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
    node_endpoint: str = ""
    """Where nodes have found it before; empty if never."""

    @property
    def moved(self) -> tuple[str, str]:
        """The port for nodes that was, and the one that is; empty where it is the same or there was none."""
        before, now = (place.rpartition(":")[2] for place in (self.node_endpoint, self.ready.node_endpoint))
        return (before, now) if before and now and before != now else ("", "")


def ensure_nexus(layout: Layout, given: Flags) -> Running:
    """The Nexus of the folder, started now if there is none; returns when it serves.

    It keeps the flags that it last came up with, also over `down`, as far as no others are given. One that runs is left
    alone until the ports that it is to have are seen to be free, and started again as it was if the new one does not
    come up. Raises Failure.
    """
    found = kept.find(layout, "nexus")
    last = recall(layout)
    if found is None:
        before = kept.kept(layout, "nexus")
        # One that was not ended by `down` goes on as it was told, be it that it has not come up yet.
        flags = {**(told.flags_of(before.arguments) if before.wanted else last.flags), **given}
        running = _start(layout, flags, told.settings_of("nexus", flags), ())
        return _remembered(layout, flags, running, last.node_endpoint)
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
    variables = told.telemetry_changes(processes.environment_of(found.pid), os.environ)
    changed = (*told.changes(before.settings, settings, ready, other_file=other_file), *variables)
    if not changed:
        return _remembered(layout, flags, Running(ready, fresh=False), ready.node_endpoint)
    _look_for_ports(settings, ready)
    environment = processes.environment_of(before.pid)
    kept.stop(layout, "nexus")
    try:
        running = _start(layout, flags, settings, changed)
    except Failure as failure:
        raise _put_back(layout, before, environment, failure) from None
    return _remembered(layout, flags, running, ready.node_endpoint)


def _remembered(layout: Layout, flags: Flags, running: Running, node_endpoint: str) -> Running:
    keep(layout, Memory(flags, running.ready.node_endpoint))
    return running._replace(node_endpoint=node_endpoint)


def _look_for_ports(settings: Mapping[str, str], ready: Ready) -> None:
    """Whether the ports that a running Nexus is to change to can be had. Raises Failure."""
    from omnitide.config.ports import PortUnavailable, check_ports

    own = {place.rpartition(":")[2] for place in (ready.url, ready.node_endpoint, ready.grpc_endpoint)}
    asked = {name: settings[f"nexus.{name}_port"] for name in ("api", "node", "grpc")}
    try:
        check_ports(settings["nexus.listen"], **{name: int(port) for name, port in asked.items() if port not in own})
    except PortUnavailable as error:
        raise Failure(str(error), "nothing was changed: Nexus goes on as it was") from None


def _put_back(layout: Layout, before: kept.Kept, environment: Mapping[str, str], failure: Failure) -> Failure:
    """Start the one that was stopped for a new one which does not come up; what is then to be said."""
    try:
        kept.stop(layout, "nexus")
        _start(layout, told.flags_of(before.arguments), before.settings, (), environment)
    except Failure as again:
        what = f"{failure.what}\n       and with the settings that it had: {again.what}"
        return Failure(what, failure.hint, failure.code)
    return Failure(f"{failure.what}\n       Nexus runs again with the settings that it had", failure.hint, failure.code)


def _start(
    layout: Layout,
    flags: Flags,
    settings: Mapping[str, str],
    changed: tuple[str, ...],
    environment: Mapping[str, str] | None = None,
) -> Running:
    _clear(layout)
    begin = processes.size_of(layout.nexus_log)
    kept.start(layout, "nexus", layout.nexus, told.words_of(flags), {}, settings, environment)
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
