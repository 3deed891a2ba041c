"""Where the keeper's files are, and which instance ids may become part of a path.

In the keeper's directory:
    keeper.sock, keeper.lock, start.lock, keeper.id, keeper.log
    keeper.place    which directory this is, and whose: in a copy, another
    runs.journal    what is remembered of runs
    work/ID/        private working directories
    logs/ID/        output
    trash/          directories on their way out
    spare/          empty directories for instances to come
"""

import os

from omnitide.node.keeper.protocol import Refused

MAX_INSTANCE_LENGTH = 128
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")

MAX_ATTEMPT = 2**31 - 1


def is_instance(text: str) -> bool:
    """1 to 128 characters of a-z, 0-9, dot and dash, a letter or digit first: never `.`, `..`, a slash or an option."""
    return 0 < len(text) <= MAX_INSTANCE_LENGTH and text[0] not in ".-" and _ALLOWED.issuperset(text)


class Paths:
    """The files of one keeper directory."""

    __slots__ = (
        "directory",
        "identity",
        "journal",
        "lock",
        "log",
        "logs",
        "place",
        "socket",
        "spare",
        "start_lock",
        "trash",
        "work",
    )

    def __init__(self, directory: str) -> None:
        self.directory = os.path.realpath(directory)
        self.socket = f"{self.directory}/keeper.sock"
        self.lock = f"{self.directory}/keeper.lock"
        self.start_lock = f"{self.directory}/start.lock"
        self.identity = f"{self.directory}/keeper.id"
        self.place = f"{self.directory}/keeper.place"
        self.log = f"{self.directory}/keeper.log"
        self.journal = f"{self.directory}/runs.journal"
        self.work = f"{self.directory}/work"
        self.logs = f"{self.directory}/logs"
        self.trash = f"{self.directory}/trash"
        self.spare = f"{self.directory}/spare"

    def logs_of(self, instance: str) -> str:
        """Where an instance's output is kept. Raises Refused for an id outside the grammar."""
        return f"{self.logs}/{self._checked(instance)}"

    def work_of(self, instance: str) -> str:
        """An instance's private working directory. Raises Refused for an id outside the grammar."""
        return f"{self.work}/{self._checked(instance)}"

    @staticmethod
    def _checked(instance: str) -> str:
        if not is_instance(instance):
            message = (
                f"instance id {instance[:MAX_INSTANCE_LENGTH]!r} is not 1 to {MAX_INSTANCE_LENGTH} of a-z 0-9 . - "
                "with a letter or digit first"
            )
            raise Refused(message, cause="invalid", permanent=True)
        return instance

    def prepare(self) -> None:
        """Make the directories, private to the keeper's user."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        status = os.stat(self.directory)
        if status.st_uid != os.geteuid():
            raise Refused(
                f"{self.directory} belongs to user {status.st_uid}, not to the keeper's user {os.geteuid()}",
                cause="permission",
                permanent=True,
            )
        if status.st_mode & 0o066:  # 0711 is what `open_to_other_users` has made of it, and stays
            os.chmod(self.directory, 0o700)
        for path in (self.work, self.logs, self.trash, self.spare):
            os.makedirs(path, mode=0o700, exist_ok=True)

    def open_to_other_users(self) -> None:
        """Let other users pass through (not list) to their private working directories below."""
        for path in (self.directory, self.work):
            os.chmod(path, 0o711)  # noqa: S103 - the socket below is 0600 and checks who connects
