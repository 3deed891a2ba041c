"""Folders for tests in which programs run as other users, who can pass through them as through those of a node's data.

Not below pytest's own, `pytest-of-USER`: each start of pytest on the machine closes that one to all others again.
"""

import contextlib
import tempfile
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def passable_folder() -> Generator[Path]:
    """A new folder that others can pass through and not list; it goes with the block."""
    with tempfile.TemporaryDirectory(prefix="omnitide-test-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
