"""How a further program is executed inside a run: for a plain process as it is, for a sandbox by `enter`."""

import os
from typing import NamedTuple

from omnitide.node.keeper import sandbox, spawn
from omnitide.node.keeper.cgroup_files import Groups
from omnitide.node.keeper.protocol import Refused
from omnitide.node.keeper.run import SANDBOX, ZYGOTE, Run
from omnitide.node.keeper.spec import Identity


class Inside(NamedTuple):
    """As in `Plan`."""

    programs: tuple[str, ...]
    arguments: tuple[str, ...]
    identity: Identity | None
    groups: Groups


def command(run: Run, wanted: tuple[str, ...], search: str, directory: str, identity: Identity | None) -> Inside:
    """What the keeper's child is to be. `search`: its PATH. Raises Refused."""
    if run.kind == ZYGOTE:
        raise Refused("a module has no programs beside it", cause="unsupported", permanent=True)
    if run.kind != SANDBOX:
        programs = spawn.existing_programs(wanted[0], spawn.possible_programs(wanted[0], search), directory)
        return Inside(programs, wanted, identity, run.groups)
    if not run.first:
        raise Refused("its sandbox has ended", cause="not-running", permanent=False)
    _check(run.first, spawn.possible_programs(wanted[0], search), wanted[0], directory)
    arguments = (*sandbox.prefix(run.first, run.user_namespace, directory, identity, run.groups.values()), *wanted)
    return Inside((arguments[0],), arguments, None, {})  # within, it becomes who it shall be, and counts as the run's


def _check(first: int, programs: tuple[str, ...], wanted: str, directory: str) -> None:
    """Whether a sandbox has the program and the directory, as far as the keeper may look. Raises Refused."""
    root = f"/proc/{first}/root"
    if not os.access(root, os.X_OK):
        return
    if not os.path.lexists(root + directory):
        message = f"working directory {directory}: it is not in the sandbox"
        raise Refused(message, cause="working-directory", permanent=True)
    if not any(os.path.lexists(root + os.path.join(directory, program)) for program in programs):
        raise Refused(f"{wanted}: it is not in the sandbox", cause="command-not-found", permanent=True)
