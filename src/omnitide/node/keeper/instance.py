"""An instance on this node: its log, its working directory, its runs; and how it is forgotten."""

import os
from collections.abc import Callable

from omnitide.node.keeper import log_format
from omnitide.node.keeper.log_writer import LogWriter
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.run import Run

MAX_FOLLOWERS = 256
_MOST_AT_ONCE = 1000


class Instance:
    """What is shared by the runs of one instance."""

    __slots__ = ("followers", "log", "logs", "name", "runs", "work")

    def __init__(self, name: str, paths: Paths) -> None:
        """Raises Refused for a name outside the grammar."""
        self.name = name
        self.logs = paths.logs_of(name)
        self.work = paths.work_of(name)
        self.runs: dict[int, Run] = {}
        self.log: LogWriter | None = None
        """None until the first run here by this keeper."""
        self.followers: dict[tuple[int, int], Callable[[], None]] = {}
        """By client and request; called once, when output is written or the last run has ended."""

    def wake_followers(self) -> None:
        followers, self.followers = self.followers, {}
        for follower in followers.values():
            follower()


def erase(directory: str) -> bool:
    """Delete a directory that is empty or holds only log files; False when there is more in it."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    else:
        return True
    try:
        for sequence in log_format.sequences(directory):
            os.unlink(f"{directory}/{log_format.file_name(sequence)}")
        os.rmdir(directory)
    except OSError:
        return False
    return True


class Trash:
    """Deletes what may be large (a working directory that an instance has filled) in a process apart, one at a time."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.pid = 0
        """Of the process at work; 0 while there is none."""
        self._count = 0
        self._tried: set[str] = set()

    def put(self, directory: str) -> None:
        """Take a directory out of sight at once and delete it later. Raises OSError."""
        if not os.path.lexists(directory):
            return
        while True:
            self._count += 1
            target = f"{self._paths.trash}/{os.path.basename(directory)}~{self._count}"
            if not os.path.lexists(target):
                break
        os.rename(directory, target)
        self.empty()

    def empty(self) -> None:
        """Begin to delete what lies in the trash, unless that is going on. What could not be deleted is left there."""
        if self.pid:
            return
        fresh = [name for name in os.listdir(self._paths.trash) if name not in self._tried][:_MOST_AT_ONCE]
        if not fresh:
            return
        self._tried = set(fresh)
        paths = [f"{self._paths.trash}/{name}" for name in fresh]
        quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
        try:
            # `rm` follows no links, whatever an instance has put there.
            self.pid = os.posix_spawn("/bin/rm", ["rm", "-rf", "--", *paths], {}, file_actions=quiet)
        except OSError as error:
            note(f"/bin/rm: {error.strerror}; {self._paths.trash} is not emptied")

    def buried(self, pid: int) -> None:
        """A child that is no run has ended."""
        if pid == self.pid:
            self.pid = 0
            self.empty()
