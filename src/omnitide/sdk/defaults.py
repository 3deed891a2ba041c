"""What both clients take where nothing else is said."""

from typing import Final

DEFAULT: Final = "default"
"""The namespace where nothing else is said."""
PAGE: Final = 200
CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
PATIENCE_S: Final = 60.0
"""How long a watch tries to reach a Nexus that does not answer."""
FINISH_S: Final = 600.0
"""How long an instance may take to unpack what it was sent."""
