"""Nexus on this machine: start it, wait until it serves, find it again."""

import subprocess
import time
from typing import NamedTuple

import psutil
from msgspec.structs import replace

from omnitide.cli.exits import Failure
from omnitide.cli.fabric import processes
from omnitide.cli.fabric.layout import Layout, Ready
from omnitide.sdk.target import Profile, write_profile

READY_S = 30.0
STOP_S = 15.0


class Running(NamedTuple):
    ready: Ready
    fresh: bool
    """It was started just now."""
    child: "subprocess.Popen[bytes] | None" = None


def find_nexus(layout: Layout) -> psutil.Process | None:
    """The Nexus that runs on the folder."""
    ready = layout.ready()
    record = processes.read_records(layout).nexus
    return processes.find(processes.NEXUS, layout.nexus, record, ready.pid if ready else 0)


def ensure_nexus(layout: Layout, arguments: list[str], *, detached: bool) -> Running:
    """The Nexus of the folder, started now if there is none; returns when it serves. Raises Failure."""
    process = find_nexus(layout)
    if process is not None:
        return Running(_wait_ready(layout, process.pid, None, 0), fresh=False)
    layout.ready_file.unlink(missing_ok=True)  # left by one that was killed
    begin = processes.size_of(layout.nexus_log)
    child = processes.start(processes.NEXUS, layout.nexus, arguments, layout.nexus_log, {}, detached=detached)
    records = processes.read_records(layout)
    processes.write_records(layout, replace(records, nexus=processes.recorded(child, {})))
    return Running(_wait_ready(layout, child.pid, child, begin), fresh=True, child=child)


def _wait_ready(layout: Layout, pid: int, child: "subprocess.Popen[bytes] | None", begin: int) -> Ready:
    deadline = time.monotonic() + READY_S
    while True:
        ready = layout.ready()
        if ready is not None and ready.pid == pid:
            return ready
        if child is not None and child.poll() is not None:
            said = processes.tail(layout.nexus_log, begin) or f"it ended with code {child.returncode} without a word"
            raise Failure(f"Nexus did not start: {said}", f"its log: {layout.nexus_log}")
        if time.monotonic() > deadline:
            hint = f"its log: {layout.nexus_log}"
            raise Failure(f"Nexus (process {pid}) does not serve after {READY_S:.0f} s", hint)
        time.sleep(processes.POLL_S)


def remember(layout: Layout, ready: Ready, *places: object) -> Profile:
    """Write the profiles by which later commands find the fabric without being told."""
    from pathlib import Path

    profile = Profile(
        url=ready.url, ca_file=str(layout.ca_file), token_file=str(layout.token_file), fabric_id=ready.fabric_id
    )
    for place in places:
        write_profile(Path(str(place)), profile)
    return profile
