"""The terminal in front of us while a program elsewhere has it: raw, and as it was again on every way out."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from omnitide.cli.exits import Exit, Failure


def require_terminal() -> int:
    """The descriptor of the terminal that is our input. Raises Failure if there is none."""
    fd = sys.stdin.fileno()
    if not os.isatty(fd):
        raise Failure("-t needs a terminal, and standard input is none", "leave out -t", Exit.USAGE)
    return fd


@contextmanager
def raw(fd: int) -> Generator[None]:
    """Every key goes through as it is, Ctrl-C too."""
    import termios
    import tty

    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)  # what was typed ahead stays
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def size(fd: int) -> tuple[int, int]:
    """Rows and columns; 24 and 80 where it does not say."""
    try:
        found = os.get_terminal_size(fd)
    except OSError:
        return 24, 80
    return found.lines or 24, found.columns or 80
