"""Where a supervisor's files are, below the data directory: one place for it and for those who talk to it."""

import os


class Places:
    __slots__ = ("directory", "lock", "log", "record", "socket")

    def __init__(self, directory: str) -> None:
        self.directory = os.path.realpath(directory)
        """However it is spelled: a link to a folder must not have a supervisor of its own."""
        self.socket = f"{self.directory}/supervisor.sock"
        self.lock = f"{self.directory}/supervisor.lock"
        self.log = f"{self.directory}/supervisor.log"
        self.record = f"{self.directory}/processes.json"
        """What it keeps and how that is. Others only read it."""

    def same(self, directory: str) -> bool:
        """Whether a path means this very folder, be it through a link or another mount of it."""
        try:
            return directory == self.directory or os.path.samefile(directory, self.directory)
        except (OSError, ValueError):
            return False
