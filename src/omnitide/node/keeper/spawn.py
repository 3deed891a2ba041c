"""Makes a process by fork: the child's preparations, exec; and says exactly what failed.

The child tells of a failure through a pipe that closes at a successful exec. The keeper does not wait for it: it reads
the pipe when its loop says so. Signals need no reset in the child: the keeper has handlers, never "ignore", and exec
turns handlers into defaults. All other descriptors of the keeper close at exec. `quick_spawn` does without the fork.
"""

import errno
import fcntl
import os
import re
import resource
import signal
import termios
from typing import NamedTuple

from omnitide.node.keeper import cgroup_files, linux
from omnitide.node.keeper.cgroup_files import Groups
from omnitide.node.keeper.cgroup_mounts import UNIFIED
from omnitide.node.keeper.protocol import Refused
from omnitide.node.keeper.spec import Identity

_EXEC_FAILED = 127
UMASK = 0o022
"""Of runs."""


class Plan(NamedTuple):
    """What is to be executed and how, worked out before the fork: the less a child does, the less memory it copies."""

    programs: tuple[str, ...]
    """Paths to try, in order."""
    arguments: tuple[str, ...]
    environment: dict[str, str]
    directory: str
    private_directory: bool
    """Entered before the user changes: the way to it may be closed to that user."""
    identity: Identity | None
    stdin: int
    stdout: int
    stderr: int
    groups: Groups
    """The control groups to enter."""
    open_files: tuple[int, int]
    """Soft and hard limit of open descriptors: those that the keeper was started with."""
    dies_with_keeper: bool
    keeps_root: bool = False
    """Only the real user and the groups become those of `identity`: for bubblewrap, which then works as where it is
    installed for its caller's use, and gives up the effective user when it has made its mounts, before it executes."""
    words: int = -1
    """A descriptor that stays open over the exec; -1: none."""
    terminal: bool = False
    """Standard input is a terminal, and becomes the controlling one."""


class Failure(NamedTuple):
    """Where a child failed and why (an errno)."""

    stage: str
    number: int
    detail: str = ""


class Spawned(NamedTuple):
    """A process on its way."""

    pid: int
    status_fd: int
    """Closes when its program is executed, says a failure otherwise; -1 when it is known to be executed."""


class SpawnFailed(Exception):
    """The program was not executed, and there is no process."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.stage}: {os.strerror(failure.number)}")
        self.failure = failure


def spawn(plan: Plan) -> Spawned:
    """Start the child. Raises OSError if there can be none."""
    keeper = os.getpid()
    status, report = os.pipe2(os.O_CLOEXEC)
    joins: list[int] = []
    try:
        joins.extend(cgroup_files.open_to_enter(key, group) for key, group in plan.groups.items() if key != UNIFIED)
        os.set_blocking(status, False)
        pid = _fork(plan.groups.get(UNIFIED), joins)
        if pid == 0:
            _child(plan, keeper, report, joins)
    except OSError:
        os.close(status)
        raise
    finally:
        for fd in (report, *joins):
            os.close(fd)
    return Spawned(pid, status)


def _fork(group: str | None, joins: list[int]) -> int:
    """As `os.fork`. `group`: of version 2, for the child; where it cannot be born there, it shall join it as others."""
    if group is None:
        return os.fork()
    if linux.can_fork_into():
        directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return linux.fork_into(directory)
        except OSError:
            pass  # whatever it is, the other way says it better
        finally:
            os.close(directory)
    joins.append(cgroup_files.open_to_enter(UNIFIED, group))
    return os.fork()


def _child(plan: Plan, keeper: int, report: int, joins: list[int]) -> None:
    """Never returns."""
    stage = "session"
    try:
        os.setsid()
        os.dup2(plan.stdin, 0)
        os.dup2(plan.stdout, 1)
        os.dup2(plan.stderr, 2)
        if plan.words >= 0:
            os.set_inheritable(plan.words, True)
        if plan.terminal:
            stage = "terminal"
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        stage = "limits"
        for fd in joins:
            os.write(fd, b"0")
        resource.setrlimit(resource.RLIMIT_NOFILE, plan.open_files)
        os.umask(UMASK)
        if plan.private_directory:
            stage = "working-directory"
            os.chdir(plan.directory)
        if plan.identity is not None:
            stage = "user"
            os.setgroups(plan.identity.groups)
            os.setresgid(plan.identity.gid, plan.identity.gid, plan.identity.gid)
            effective = 0 if plan.keeps_root else plan.identity.uid
            os.setresuid(plan.identity.uid, effective, effective)
        if not plan.private_directory:
            stage = "working-directory"
            os.chdir(plan.directory)
        if plan.dies_with_keeper:
            linux.die_with_parent(signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(_EXEC_FAILED)
        stage = "exec"
        number = errno.ENOENT
        for program in plan.programs:
            try:
                os.execve(program, plan.arguments, plan.environment)  # noqa: S606 - what a keeper is for
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    number = error.errno or number
        os.write(report, f"{stage} {number}".encode())
    except OSError as error:
        os.write(report, f"{stage} {error.errno or 0}".encode())
    except BaseException:  # whatever it is, two keepers must never go on
        os.write(report, f"{stage} 0".encode())
    finally:
        os._exit(_EXEC_FAILED)


def parse_failure(report: bytes) -> Failure:
    stage, number, detail = (*report.decode(errors="replace").split(" ", 2), "", "", "")[:3]
    return Failure(stage, int(number) if number.isdigit() else 0, detail)


def possible_programs(command: str, search: str) -> tuple[str, ...]:
    """The paths that a command may mean, as a shell looks it up in PATH."""
    if "/" in command:
        return (command,)
    return tuple(f"{part or '.'}/{command}" for part in search.split(":"))


def existing_programs(command: str, programs: tuple[str, ...], directory: str) -> tuple[str, ...]:
    """Those of `programs` that are there. Raises Refused if there is none."""
    if "/" in command:
        found = programs if os.path.exists(os.path.join(directory, command)) else ()
    else:
        found = tuple(path for path in programs if os.path.isfile(os.path.join(directory, path)))
    if not found:
        # Not the folders of PATH: there are many, and this text is in every list.
        why = f"there is no {os.path.join(directory, command)}" if "/" in command else "not on the node's PATH"
        raise Refused(f"{command}: {why}", cause="command-not-found", permanent=True)
    return found


def explain(failure: Failure, plan_command: str, directory: str, user: str) -> Refused:
    """A child's failure as the client is told of it."""
    why = os.strerror(failure.number) if failure.number else "unknown error"
    cause, permanent, message = "start-failed", False, f"{plan_command}: {failure.stage}: {why}"
    if failure.stage == "record":
        cause, message = "no-disk", f"its start cannot be recorded on this node: {why}"
    elif failure.stage == "working-directory":
        cause, permanent, message = "working-directory", True, f"working directory {directory}: {why}"
    elif failure.stage == "user":
        cause, permanent, message = "user", True, f"cannot become user {user}: {why}"
    elif failure.stage == "limits":
        cause, message = "limits", f"cannot put the process under its limits: {why}"
    elif failure.stage == "module":
        cause, message = "module", f"{plan_command}: {failure.detail or why}"
    elif failure.stage == "sandbox":
        cause, permanent, message = _explain_sandbox(failure.detail, plan_command)
    elif failure.stage == "exec":
        cause, permanent, message = _explain_exec(failure.number, plan_command, why)
    return Refused(message, cause=cause, permanent=permanent)


_MOUNT_GONE = re.compile("Unable to apply mount flags: remount .*: Invalid argument")
"""What bubblewrap 0.8 says when a mount that it has copied with all of the machine's ends before it is made read-only:
one of a container that ends, or of a disk that is taken out. The next try has it no more."""


def _explain_sandbox(said: str, plan_command: str) -> tuple[str, bool, str]:
    """`said`: what bubblewrap has printed."""
    said = " ".join(said.split())[-500:]
    if "execvp" in said or "failed to execute" in said:
        missing = "No such file" in said
        cause = "command-not-found" if missing else "permission" if "denied" in said else "command-format"
        return cause, True, f"{plan_command} cannot be executed in its sandbox: {said}"
    if _MOUNT_GONE.search(said):
        return "sandbox", False, f"a mount of this machine ended while the sandbox of {plan_command} was made: {said}"
    return "sandbox", True, f"the sandbox of {plan_command} cannot be made: {said or 'bubblewrap said nothing'}"


def _explain_exec(number: int, command: str, why: str) -> tuple[str, bool, str]:
    if number in (errno.ENOENT, errno.ENOTDIR):
        return "command-not-found", True, f"{command}: {why} (if the file is there, its interpreter is not)"
    if number in (errno.EACCES, errno.EPERM):
        return "permission", True, f"{command} cannot be executed: {why}"
    if number == errno.ENOEXEC:
        return "command-format", True, f"{command} is neither a program of this machine nor a script with a #! line"
    if number == errno.E2BIG:
        return "command-size", True, f"{command}: command line and environment are too long for this machine"
    return "resources", False, f"{command}: {why}"
