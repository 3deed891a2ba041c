"""`python -m omnitide.node`: run a node proxy."""

import sys

from omnitide.node.main import main

if __name__ == "__main__":
    sys.exit(main())
