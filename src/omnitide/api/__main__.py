"""`python -m omnitide.api`: run a Nexus."""

import gc
import os
import sys

# gRPC's C core writes to standard error by itself, in no format, unless it is told not to before it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

if __name__ == "__main__":
    # What is imported stays, and is not looked through for garbage again and again as it grows.
    gc.disable()
    from omnitide.api.process import main

    gc.freeze()
    gc.enable()
    sys.exit(main())
