"""`python -m omnitide.supervisor --data DIR`: keeps what the CLI asks it to keep, and ends when that is nothing.

Exit codes: 0 nothing left to keep, or ended by a signal with all that it kept; 1 cannot run; 2 wrong arguments;
6 another supervisor has the directory.
"""

import os
import sys

from omnitide.supervisor.service import Held, Supervisor

FAILED = 1
USAGE = 2
HELD = 6


def main() -> int:
    arguments = sys.argv[1:]
    if len(arguments) != 2 or arguments[0] != "--data":
        sys.stderr.write("usage: python -m omnitide.supervisor --data DIR\n")
        return USAGE
    try:
        os.chdir("/")
        supervisor = Supervisor(arguments[1])
    except Held as error:
        sys.stderr.write(f"error: {error}\n")
        return HELD
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    supervisor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
