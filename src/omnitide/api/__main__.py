"""`python -m omnitide.api`: run a Nexus."""

import sys

from omnitide.api.process import main

sys.exit(main())
