"""Folders of a test that other users can pass through, as they can through those in which a node keeps its data."""

import os
import tempfile
from pathlib import Path


def opened(path: Path) -> None:
    """The folder itself and those above it, as far as the test run has made them."""
    for folder in (path, *path.parents):
        status = folder.stat()
        if status.st_uid == os.geteuid() and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(status.st_mode | 0o011)
