"""`python -m omnitide.api`: run a Nexus."""

import os
import sys

# gRPC's C core writes to standard error by itself, in no format, unless it is told not to before it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from omnitide.api.process import main

sys.exit(main())
