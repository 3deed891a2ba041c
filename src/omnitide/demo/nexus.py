"""The Nexus of a demo: the real one, tethered to the command that started it (`python -m omnitide.demo.nexus`)."""

import sys

from omnitide.api.process import main
from omnitide.demo.tether import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.exit(main())
