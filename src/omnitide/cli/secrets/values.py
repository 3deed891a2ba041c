"""A value for the fabric to keep: from a file, a variable, standard input, or typed in unseen. Never an argument, which
everybody on the machine can read."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session

MAX_VALUE_BYTES: Final = 512 << 10

FromFile = Annotated[Path | None, typer.Option("--from-file", metavar="FILE", help="Take it from a file.")]
FromEnvironment = Annotated[str, typer.Option("--from-env", metavar="VARIABLE", help="Take it from a variable.")]

Force = Annotated[bool, typer.Option("--force", help="Even if an agent or job could not be started again without it.")]


def read_value(session: Session, name: str, file: Path | None, variable: str, *, hidden: bool) -> bytes:
    """The value, byte for byte. Raises Failure."""
    if file is not None and variable:
        raise Failure("--from-file and --from-env cannot be used together", code=Exit.USAGE)
    if file is not None:
        try:
            value = file.read_bytes()
        except OSError as error:
            raise Failure(f"{file} cannot be read: {error.strerror}", code=Exit.USAGE) from None
    elif variable:
        text = os.environ.get(variable)
        if text is None:
            raise Failure(f"the variable {variable} is not set", code=Exit.USAGE)
        value = text.encode("utf-8", "surrogateescape")
    elif sys.stdin.isatty():
        value = _typed(name, hidden=hidden)
    else:
        value = sys.stdin.buffer.read(MAX_VALUE_BYTES + 1)
        if value.endswith(b"\n") and value.count(b"\n") == 1:
            session.note(
                "note: the value ends in a newline, which is part of it (printf instead of echo leaves it out)"
            )
    if not value:
        session.warn(f"the value of {name} is empty")
    if len(value) > MAX_VALUE_BYTES:
        raise Failure(
            f"the value is larger than {MAX_VALUE_BYTES} bytes",
            "put what is larger into the blob store (omnitide blob put), as an artifact",
            Exit.USAGE,
        )
    return value


def _typed(name: str, *, hidden: bool) -> bytes:
    if hidden:
        import getpass

        return getpass.getpass(f"value of {name} (not shown): ").encode()
    print(f"value of {name}, up to Ctrl-D:", file=sys.stderr)
    return sys.stdin.buffer.read(MAX_VALUE_BYTES + 1)
