"""Opens what a path names without following any link on the way, and executes a program that is given it so.

Whoever may write to a directory of a path may put a link in place of what follows, also between somebody's look at
where the path leads and its use. A path that was found to be real is therefore opened here part by part; what is opened
stays what it is. A program of its own, for bubblewrap, which is executed as the same process, with the descriptors'
numbers in the place of the `@0`, `@1` ... that follow its options for binding what is open:

    python -I -S firm.py COUNT PATH... BUBBLEWRAP ARGUMENTS...

Imports the standard library.
"""

import errno
import os
import signal
import stat
import sys
from typing import NoReturn

OPTIONS = ("--bind-fd", "--ro-bind-fd")
_CHANGED = 1
"""Exit code: a path is not as it was found."""


def open_firm(path: str) -> int:
    """A descriptor (O_PATH) of what an absolute path names. Raises OSError: ELOOP for a link anywhere in it."""
    parts = [part for part in path.split("/") if part]
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        try:
            if part == "..":
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            below = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return fd


def with_numbers(command: list[str], numbers: list[int]) -> list[str]:
    """In order, and each once: what comes after the last is the spec's, whatever it looks like."""
    found, place = list(command), 0
    for index in range(1, len(command)):
        if place < len(numbers) and command[index - 1] in OPTIONS and command[index] == f"@{place}":
            found[index] = str(numbers[place])
            place += 1
    return found


def main(argv: list[str]) -> NoReturn:
    parent, count = os.getppid(), int(argv[0])
    paths, command = argv[1 : count + 1], argv[count + 1 :]
    numbers: list[int] = []
    for path in paths:
        try:
            fd = open_firm(path)
        except OSError as error:
            linked = "there is a link in it, which was not there when it was permitted"
            why = linked if error.errno == errno.ELOOP else error.strerror
            os.write(2, f"{path}: {why}\n".encode(errors="replace"))
            os._exit(_CHANGED)
        os.set_inheritable(fd, True)
        numbers.append(fd)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # Python has changed these
    if os.getppid() != parent:
        os._exit(_CHANGED)  # the keeper has died: who dies with it had to be told so by now
    try:
        os.execv(command[0], with_numbers(command, numbers))  # noqa: S606 - what it is for
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="replace"))
    os._exit(_CHANGED)


if __name__ == "__main__":
    main(sys.argv[1:])
