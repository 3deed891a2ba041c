"""`python -m omnitide.node.keeper --directory DIR [--cgroup auto|off] [--max-runs N] [--leaf-pid PID]... [--daemon]`

In the foreground it says `ready` on standard output when it serves. As a daemon it returns when it serves, with exit
code 0, and 3 if another keeper has the directory. SIGTERM stops all runs, each with its grace, and then the keeper.
"""

import os
import sys

from omnitide.node.keeper import upgrade
from omnitide.node.keeper.keeper import AlreadyRunning, Keeper, Options
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.protocol import Refused

FAILED = 1
WRONG_USE = 2
ALREADY_RUNNING = 3
_READY = b"ready\n"


class WrongUse(Exception):
    """The command line cannot be understood."""


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise WrongUse(f"{name} needs a number, not {text!r}")
    return int(text)


def parse(arguments: list[str]) -> tuple[Options, bool, int]:
    """Options, whether to become a daemon, and the descriptor of a state to check (-1: none). Raises WrongUse.

    By hand, as argparse takes a megabyte that every fork would have to carry.
    """
    values: dict[str, list[str]] = {}
    daemon = False
    rest = iter(arguments)
    for name in rest:
        if name == "--daemon":
            daemon = True
            continue
        if name not in ("--directory", "--cgroup", "--max-runs", "--leaf-pid", "--resume", "--check-state"):
            raise WrongUse(f"unknown argument {name!r}")
        value = next(rest, None)
        if value is None:
            raise WrongUse(f"{name} needs a value")
        values.setdefault(name, []).append(value)
    last = {name: given[-1] for name, given in values.items()}
    if not last.get("--directory"):
        raise WrongUse("--directory is required")
    cgroup = last.get("--cgroup", "auto")
    if cgroup not in ("auto", "off"):
        raise WrongUse(f"--cgroup is auto or off, not {cgroup!r}")
    options = Options(
        directory=last["--directory"],
        use_cgroups=cgroup == "auto",
        max_runs=_number("--max-runs", last.get("--max-runs", "2000")),
        leaf_pids=tuple(_number("--leaf-pid", text) for text in values.get("--leaf-pid", [])),
        resume=_number("--resume", last["--resume"]) if "--resume" in last else -1,
    )
    return options, daemon, _number("--check-state", last["--check-state"]) if "--check-state" in last else -1


def again(original: list[str]) -> list[str]:
    """The interpreter's arguments with which this program can be started anew, without what concerns only one start."""
    kept: list[str] = []
    rest = iter(original)
    for argument in rest:
        if argument in ("--resume", "--check-state"):
            next(rest, None)
        elif argument != "--daemon":
            kept.append(argument)
    return kept


def _become_daemon(log: str) -> int:
    """Fork; the parent waits to hear from the child and exits. Returns the descriptor to report to, in the child."""
    reader, writer = os.pipe()
    if os.fork() > 0:
        os.close(writer)
        said = b""
        while part := os.read(reader, 4096):
            said += part
        if said == _READY:
            os._exit(0)
        code, _, reason = said.decode(errors="replace").partition(" ")
        sys.stderr.write(reason or "the keeper ended without a word; see keeper.log\n")
        sys.stderr.flush()
        os._exit(int(code) if code.isdigit() else FAILED)
    os.close(reader)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(output)
    return writer


def _close_inherited() -> None:
    """A descriptor that the starter forgot must not stay open for as long as the keeper lives."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", os.O_RDWR)  # takes the lowest free number
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _check(descriptor: int) -> int:
    """Whether this program understands the state of the one before."""
    try:
        upgrade.check(descriptor)
    except (OSError, ValueError, Refused, KeyError, TypeError) as error:
        note(f"upgrade: the state cannot be understood: {error!r}")
        return FAILED
    return 0


def main() -> None:
    """Never returns."""
    try:
        options, daemon, state = parse(sys.argv[1:])
    except WrongUse as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(WRONG_USE)
    if state >= 0:
        sys.exit(_check(state))
    resumed = options.resume >= 0
    if not resumed:
        _close_inherited()
    os.umask(0o077)
    report = -1
    code, reason = FAILED, ""
    try:
        if daemon:
            paths = Paths(options.directory)
            paths.prepare()
            report = _become_daemon(paths.log)
        keeper = Keeper(options, again(sys.orig_argv[1:]))
    except AlreadyRunning as error:
        code, reason = ALREADY_RUNNING, str(error)
    except (Refused, OSError) as error:
        reason = str(error)
    except Exception as error:
        import traceback

        reason = repr(error)
        note(traceback.format_exc())
    else:
        if report >= 0:
            os.write(report, _READY)
            os.close(report)
        elif not resumed:
            os.write(1, _READY)
        keeper.run()
        sys.exit(0)
    if report >= 0:
        os.write(report, f"{code} {reason}\n".encode(errors="replace"))
    else:
        note(reason)
    sys.exit(code)


if __name__ == "__main__":
    main()
