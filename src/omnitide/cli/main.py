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
    strange = next((text for text in given if not _is_text(text)), None)
    if strange is not None:
        shown = strange.encode(errors="backslashreplace").decode()
        print(f"error: an argument is not UTF-8 text: {shown}", file=sys.stderr)
        print("  what the fabric keeps is text; let a shell in the instance find such a file", file=sys.stderr)
        return 2
    from omnitide.cli.root import run

    return run(given)


def _is_text(text: str) -> bool:
    """Bytes of the command line that are no UTF-8 come as lone surrogates, which no message can hold."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


if __name__ == "__main__":
    sys.exit(main())
