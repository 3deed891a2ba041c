"""Where a supervisor's files are, below the data directory: one place for it and for those who talk to it."""

import os


class Places:
    __slots__ = ("directory", "lock", "log", "record", "socket")

    def __init__(self, directory: str) -> None:
        self.directory = os.path.abspath(directory)
        self.socket = f"{self.directory}/supervisor.sock"
        self.lock = f"{self.directory}/supervisor.lock"
        self.log = f"{self.directory}/supervisor.log"
        self.record = f"{self.directory}/processes.json"
        """What it keeps and how that is. Others only read it."""
