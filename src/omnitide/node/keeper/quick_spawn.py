"""Makes a process without a fork of the keeper, at half its cost: posix_spawn, which shares memory until the exec.

posix_spawn knows nothing of working directories, limits of open files or control groups, but the child begins with its
parent's. So the keeper takes on what the child should have, spawns, and goes back; it is single-threaded, and nothing
else happens meanwhile. What it cannot take on without harm (another user; limits; a group that counts its memory) and
what only the child can do (to die with the keeper) takes the fork; so does a start on its own where the kernel would
let the move between groups wait (`cgroup_files.open_to_enter`).
"""

import errno
import os
import resource
from collections.abc import Callable

from omnitide.node.keeper import cgroup_files
from omnitide.node.keeper.spawn import UMASK, Failure, Plan, Spawned, SpawnFailed


def spawn_quickly(plan: Plan, go_home: Callable[[], None]) -> Spawned:
    """Start the process; its program has been executed on return. `go_home` takes the keeper back to its own group.

    Raises SpawnFailed, and OSError where there can be no process at all.
    """
    usual_umask = os.umask(UMASK)
    usual_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    away = False
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, plan.open_files)
        _enter_directory(plan.directory)
        for key, group in plan.groups.items():
            fd = cgroup_files.open_to_enter(key, group)
            try:
                away = True
                os.write(fd, b"0")
            finally:
                os.close(fd)
        return Spawned(_spawn(plan), -1)
    finally:
        if away:
            go_home()
        os.chdir("/")
        resource.setrlimit(resource.RLIMIT_NOFILE, usual_files)
        os.umask(usual_umask)


def _enter_directory(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise SpawnFailed(Failure("working-directory", error.errno or 0)) from None


def _spawn(plan: Plan) -> int:
    files = [
        (os.POSIX_SPAWN_DUP2, plan.stdin, 0),
        (os.POSIX_SPAWN_DUP2, plan.stdout, 1),
        (os.POSIX_SPAWN_DUP2, plan.stderr, 2),
    ]
    if plan.words >= 0:
        files.append((os.POSIX_SPAWN_DUP2, plan.words, plan.words))  # onto itself: it stays open over the exec
    number = errno.ENOENT
    for program in plan.programs:
        try:
            return os.posix_spawn(program, plan.arguments, plan.environment, file_actions=files, setsid=True)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOMEM):
                raise
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                number = error.errno or number
    raise SpawnFailed(Failure("exec", number))
