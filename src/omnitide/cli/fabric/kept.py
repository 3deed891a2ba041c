"""What the supervisor keeps, for the commands that start, end and show it: `Kept` is its record of one process."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric import processes
from omnitide.cli.fabric.layout import Layout
from omnitide.cli.fabric.processes import Found
from omnitide.supervisor import client, identity
from omnitide.supervisor.client import SupervisorRefused, SupervisorUnavailable
from omnitide.supervisor.places import Places
from omnitide.supervisor.record import write as write_record

T = TypeVar("T")

MODULES: Final = {"nexus": processes.NEXUS, "node": processes.NODE}
TITLES: Final = {"nexus": "Nexus", "node": "the node proxy"}
STOP_S: Final = {"nexus": 15.0, "node": 10.0}
"""After which one that does not end is killed."""
_TRIES: Final = 3
_CHANCES: Final = 2
"""Deaths that are watched of one that was not started now, before it is said that it keeps ending."""
_ENDS_S: Final = 5.0


class Kept(msgspec.Struct, frozen=True):
    """One process, as the supervisor's record has it."""

    argv: tuple[str, ...] = ()
    folder: str = ""
    log: str = ""
    told: dict[str, str] = {}
    settings: dict[str, str] = {}
    files: tuple[str, ...] = ()
    wanted: bool = False
    pid: int = 0
    mark: str = ""
    restarts: int = 0
    """Since it was last started on request."""
    last_end: str = ""
    last_end_ms: int = 0
    gave_up: str = ""
    """Why it is not started again."""

    @property
    def arguments(self) -> list[str]:
        """Those of our module, without its folder."""
        return list(self.argv[_prefix(self.argv) :])

    @property
    def alive(self) -> bool:
        return identity.same(self.pid, self.mark)


class _Process(msgspec.Struct, frozen=True):
    pid: int = 0
    mark: str = ""


class Record(msgspec.Struct, frozen=True):
    directory: str = ""
    supervisor: _Process = _Process()
    children: dict[str, Kept] = {}

    @property
    def forsaken(self) -> bool:
        """Something is to run, and the supervisor that would start it again is gone."""
        wanted = any(one.wanted and not one.gave_up for one in self.children.values())
        return wanted and not identity.same(self.supervisor.pid, self.supervisor.mark)


def read_record(layout: Layout) -> Record:
    """Empty if there is none, or one that was copied from elsewhere."""
    places = Places(str(layout.data))
    try:
        record = msgspec.json.decode(Path(places.record).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return Record()
    return record if places.same(record.directory) else Record()


def kept(layout: Layout, name: str) -> Kept:
    return read_record(layout).children.get(name, Kept())


def find(layout: Layout, name: str) -> Found | None:
    """What runs here as Nexus or node: the process on record, or the one that speaks of itself in its folder."""
    known = kept(layout, name)
    if known.alive:
        return Found(known.pid, Path(known.folder), processes.unit_of(known.pid))
    if name == "nexus":
        ready = layout.ready()
        return processes.running(processes.NEXUS, layout.nexus, ready.pid if ready else 0)
    return processes.running(processes.NODE, layout.node, layout.node_pid())


def argv_of(name: str, layout: Layout, folder: Path, arguments: Sequence[str]) -> list[str]:
    # -P: a folder that happens to be the current one must not put its modules before ours.
    log = str(log_of(layout, name))
    return [sys.executable, "-P", "-m", MODULES[name], "--log-file", log, "--data", str(folder), *arguments]


def log_of(layout: Layout, name: str) -> Path:
    return layout.nexus_log if name == "nexus" else layout.node_log


def _prefix(argv: Sequence[str]) -> int:
    return argv.index("--data") + 2 if "--data" in argv else len(argv)


def supervise(layout: Layout) -> None:
    """If something is to run here, see to it that it has a supervisor, which takes up what the last one left.

    Raises Failure.
    """
    if not any(one.wanted for one in read_record(layout).children.values()):
        return
    try:
        client.ensure(str(layout.data))
    except SupervisorUnavailable as error:
        raise Failure(str(error), f"its log: {Places(str(layout.data)).log}") from None


def start(
    layout: Layout,
    name: str,
    folder: Path,
    arguments: Sequence[str],
    told: Mapping[str, str],
    settings: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Have it run, and started again when it dies. `environment`: instead of that of this process. Raises Failure."""
    spec = _spec(layout, name, arguments, folder, told, settings)
    _request(layout, "start", name, {**spec, "environment": _lasting(environment)} if environment else spec)


def hold(layout: Layout, name: str, found: Found) -> None:
    """See to it that a process which runs already has a supervisor. Raises Failure."""
    known = kept(layout, name)
    mine = known if known.pid == found.pid else Kept(argv=tuple(found.arguments), told=known.told)
    spec = _spec(layout, name, mine.arguments, found.folder, mine.told, mine.settings)
    _request(layout, "adopt", name, {**spec, "pid": found.pid})


def _spec(
    layout: Layout,
    name: str,
    arguments: Sequence[str],
    folder: Path,
    told: Mapping[str, str],
    settings: Mapping[str, str],
) -> dict[str, object]:
    from omnitide.config.sources import files_of

    config = told_config(arguments)
    return {
        "argv": argv_of(name, layout, folder, arguments),
        "folder": str(folder),
        "log": str(log_of(layout, name)),
        "told": dict(told),
        "settings": dict(settings),
        "files": list(files_of(config or None, os.environ)),
        "environment": _lasting(os.environ),
    }


def _lasting(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key not in client.NOT_FOR_KEEPS}


def told_config(arguments: Sequence[str]) -> str:
    """The configuration file that a process is told to read; empty if none."""
    return arguments[arguments.index("--config") + 1] if "--config" in arguments[:-1] else ""


def _request(layout: Layout, operation: str, name: str, fields: Mapping[str, object]) -> None:
    place = str(layout.data)
    for attempt in range(_TRIES):
        try:
            client.ensure(place)
            if client.ask(place, operation, {"name": name, **fields}) is not None:
                return
        except SupervisorUnavailable as error:
            # One that has nothing left to keep may end in the moment that it is asked.
            if attempt == _TRIES - 1:
                raise Failure(str(error), f"its log: {Places(place).log}") from None
        except SupervisorRefused as error:
            raise Failure(f"the supervisor refuses to keep {TITLES[name]}: {error}") from None
    raise Failure("the supervisor does not stay", f"its log: {Places(place).log}")


def stop(layout: Layout, name: str) -> str:
    """End it for good; what was ended, in words, or nothing. Raises Failure if systemd keeps it."""
    found = find(layout, name)
    if found is not None and found.unit:
        raise Failure(f"{TITLES[name]} is kept by systemd", f"systemctl stop {found.unit}", Exit.CONFLICT)
    seconds = STOP_S[name]
    orderly = True
    try:
        answer = client.ask(str(layout.data), "stop", {"name": name, "seconds": seconds}, timeout_s=seconds + 30.0)
    except (SupervisorUnavailable, SupervisorRefused):
        answer = None
    if answer is None:
        _forget(layout, name)
    elif found is not None:
        orderly = bool(answer.get("orderly", True))
    # One that the supervisor did not know, or none is there.
    if found is not None and identity.started(found.pid):
        orderly = processes.stop(found, seconds)
    if found is None:
        return ""
    title = "Nexus" if name == "nexus" else "node proxy"
    return title if orderly else f"{title} (killed: it had not ended after {seconds:.0f} s)"


def _forget(layout: Layout, name: str) -> None:
    """Without a supervisor: the next one is not to start it."""
    record = read_record(layout)
    known = record.children.get(name)
    if known is None or not known.wanted:
        return
    changed = replace(known, wanted=False, gave_up="")
    text = msgspec.json.encode(replace(record, children={**record.children, name: changed})).decode()
    places = Places(str(layout.data))
    try:
        write_record(places, text)
    except OSError as error:
        raise Failure(
            f"{places.record} cannot be written: {error.strerror}; the next up would start {TITLES[name]} again"
        ) from None


def wait_for_end(layout: Layout) -> None:
    """Until a supervisor with nothing left to keep has ended, which it does by itself."""
    record = read_record(layout)
    if identity.same(record.supervisor.pid, record.supervisor.mark) and not any(
        one.wanted for one in record.children.values()
    ):
        processes.wait_gone(record.supervisor.pid, _ENDS_S)


def wait_until(
    layout: Layout, name: str, condition: Callable[[int], T | None], seconds: float, begin: int, *, fresh: bool
) -> T:
    """The first value of `condition`, which is given the process that runs now.

    Raises Failure when the time is up or the process keeps ending, with its last words; a fresh one that ends before it
    came so far has no second chance.
    """
    log = log_of(layout, name)
    most = 0 if fresh else kept(layout, name).restarts + _CHANCES
    deadline = time.monotonic() + seconds
    while True:
        found = find(layout, name)
        value = condition(found.pid) if found is not None else None
        if value:
            return value
        now = kept(layout, name)
        if now.gave_up or now.restarts > most:
            said = processes.tail(log, begin) or now.gave_up or now.last_end
            if fresh:
                stop(layout, name)
            raise Failure(f"{TITLES[name]} {'did not start' if fresh else 'keeps ending'}: {said}", f"its log: {log}")
        if time.monotonic() > deadline:
            pid = f" (process {found.pid})" if found is not None else ""
            raise Failure(f"{TITLES[name]}{pid} is not ready after {seconds:.0f} s", f"its log: {log}", Exit.TIMEOUT)
        time.sleep(processes.POLL_S)
