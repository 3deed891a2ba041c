"""`python -m omnitide.cli`."""

import sys

from omnitide.cli.main import main

sys.exit(main())
