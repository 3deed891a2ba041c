"""`omnitide completion`: for bash, zsh and fish."""

import os
from typing import Annotated, Final

import typer

from omnitide.cli.session import session_of

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Completion for bash, zsh and fish.")

SHELLS: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = "_OMNITIDE_COMPLETE"

Shell = Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish, else the one in SHELL.")]


def _shell(given: str) -> str:
    from omnitide.cli.exits import Exit, Failure

    shell = given or os.path.basename(os.environ.get("SHELL", ""))
    if shell not in SHELLS:
        raise Failure(f"no completion for {shell or 'an unknown shell'!r}", f"one of {', '.join(SHELLS)}", Exit.USAGE)
    return shell


@app.command("show")
def show_(shell: Shell = "") -> None:
    """Print the completion script."""
    # Typer offers both to its own options only.
    from typer.completion import get_completion_script  # pyright: ignore[reportPrivateImportUsage]

    print(get_completion_script(prog_name="omnitide", complete_var=_VARIABLE, shell=_shell(shell)))


@app.command()
def install(context: typer.Context, shell: Shell = "") -> None:
    """Install the completion script for this user."""
    from typer.completion import install as write_script  # pyright: ignore[reportPrivateImportUsage]

    chosen = _shell(shell)
    _, path = write_script(shell=chosen, prog_name="omnitide", complete_var=_VARIABLE)
    session_of(context).say(f"  completion for {chosen} installed in {path}; it works in the next {chosen}")
