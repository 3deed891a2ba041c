"""The entry point. What every command pays before it begins is here, so this file imports next to nothing."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is the result."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given in (["--version"], ["-V"]):
        from omnitide import __version__

        print(f"omnitide {__version__}")
        return 0
    from omnitide.cli.root import run

    return run(given)


if __name__ == "__main__":
    sys.exit(main())
