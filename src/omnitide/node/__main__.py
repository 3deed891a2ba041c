"""`python -m omnitide.node`: run a node proxy."""

import gc
import sys

if __name__ == "__main__":
    # What is imported stays, and is not looked through for garbage as it grows: `main` says when all of it is there.
    gc.disable()
    from omnitide.node.main import main

    sys.exit(main())
