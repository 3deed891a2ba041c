"""One process that is kept: what it is, how it is, and starting it."""

import os
import signal

from omnitide.supervisor import files, identity
from omnitide.supervisor.loop import Timer, now_ms
from omnitide.supervisor.shapes import Json, texts, words

MAX_LOG_BYTES = 64 << 20
"""A log that is larger when its process is started is set aside, in place of the one set aside before. The process
itself bounds it while it runs, to less; this is for one that dies before it comes so far, again and again."""
MAX_WORDS = 1000
"""Arguments, and variables, of one process."""
FIRST_REAL_TIME = 32
"""Number of a signal: they go on from here."""


class Spec:
    """What is to run."""

    __slots__ = ("argv", "files", "folder", "log", "settings", "told")

    def __init__(
        self,
        argv: list[str],
        folder: str,
        log: str,
        told: dict[str, str],
        settings: dict[str, str],
        files: "list[str] | None" = None,
    ) -> None:
        self.argv = argv
        self.folder = folder
        """Its data: what makes it the one that is meant."""
        self.log = log
        self.told = told
        """Variables that it is given besides the environment of whoever asked for it."""
        self.settings = settings
        """The settings it was started with, for whoever wants to know whether a restart would change anything."""
        self.files = files or []
        """Of its configuration: one that ended because that is wrong is started again when one of them changes."""


class Child:
    __slots__ = (
        "began_ms",
        "environment",
        "failures",
        "gave_up",
        "last_end",
        "last_end_ms",
        "mark",
        "name",
        "ours",
        "pid",
        "pidfd",
        "restarts",
        "seen",
        "spec",
        "timer",
        "wanted",
    )

    def __init__(self, name: str, spec: Spec) -> None:
        self.name = name
        self.spec = spec
        self.environment = dict(os.environ)
        """Never written down: it may hold secrets."""
        self.wanted = False
        self.pid = 0
        """0: it does not run."""
        self.mark = ""
        self.pidfd = -1
        self.ours = False
        """It is a child of this process, so its exit code will be known."""
        self.began_ms = 0
        self.failures = 0
        self.restarts = 0
        self.last_end = ""
        self.last_end_ms = 0
        self.gave_up = ""
        """Why it is not started again though it is wanted."""
        self.timer: Timer | None = None
        """Until the next start, or until it is killed, or until its files are looked at again."""
        self.seen: list[tuple[int, int, int, int]] = []
        """How its files were when it was started."""

    @property
    def running(self) -> bool:
        return self.pid > 0

    def start(self) -> None:
        """In a session of its own: it outlives this process. Raises OSError, ValueError."""
        self.seen = files.signature(self.spec.files)
        _turn(self.spec.log)
        os.makedirs(self.spec.folder, mode=0o700, exist_ok=True)
        output = os.open(self.spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            pid = os.posix_spawn(
                self.spec.argv[0],
                self.spec.argv,
                {**self.environment, **self.spec.told},
                file_actions=(
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ),
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE),
            )
        finally:
            os.close(output)
        self._hold(pid, ours=True)

    def adopt(self, pid: int) -> None:
        """Take over one that somebody else started. Raises OSError."""
        self._hold(pid, ours=False)

    def _hold(self, pid: int, *, ours: bool) -> None:
        self.pidfd = os.pidfd_open(pid)
        self.pid, self.mark, self.ours, self.began_ms = pid, identity.mark(pid), ours, now_ms()

    def signal(self, number: int) -> None:
        if self.running:
            try:
                signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                pass

    def reap(self) -> "tuple[str, int | None]":
        """How it ended, in words, and its exit code if it had one. Call it when the descriptor says that it did."""
        code: int | None = None
        if self.ours:
            _, status = os.waitpid(self.pid, 0)
            given = os.waitstatus_to_exitcode(status)
            if given >= 0:
                code, how = given, f"exit code {given}"
            else:
                how = f"killed by {signal_name(-given)}"
        else:
            how = "ended, nobody knows how: it was started by a supervisor before this one"
        os.close(self.pidfd)
        self.pid, self.pidfd, self.mark = 0, -1, ""
        return how, code

    def public(self) -> Json:
        return {
            "argv": self.spec.argv,
            "folder": self.spec.folder,
            "log": self.spec.log,
            "told": self.spec.told,
            "settings": self.spec.settings,
            "files": self.spec.files,
            "wanted": self.wanted,
            "pid": self.pid,
            "mark": self.mark,
            "restarts": self.restarts,
            "last_end": self.last_end,
            "last_end_ms": self.last_end_ms,
            "gave_up": self.gave_up,
        }


def read_spec(given: Json) -> Spec:
    """Raises ValueError for what no process could be started with."""
    argv, folder, log = words(given.get("argv")), given.get("folder"), given.get("log")
    if not argv or not isinstance(folder, str) or not isinstance(log, str):
        raise ValueError("a process needs argv, folder and log")
    kept = words(given.get("files"))
    if not folder.startswith("/") or not log.startswith("/"):
        raise ValueError("folder and log of a process are absolute paths")
    if len(argv) > MAX_WORDS or len(kept) > files.MOST_FILES:
        raise ValueError(f"a process has {MAX_WORDS} arguments and {files.MOST_FILES} files at most")
    for word in (*argv, *kept, folder, log):
        _check(word)
    return Spec(argv, folder, log, variables(given.get("told")), texts(given.get("settings")), kept)


def variables(given: object) -> dict[str, str]:
    """Of an environment. Raises ValueError for what cannot be in one."""
    found = texts(given)
    for key, value in found.items():
        if not key or "=" in key:
            raise ValueError("a variable has a name, without =")
        _check(key)
        _check(value)
    return found


def _check(word: str) -> None:
    if b"\0" in os.fsencode(word):
        raise ValueError("a zero character cannot be given to a process")


def _turn(log: str) -> None:
    try:
        if os.stat(log).st_size > MAX_LOG_BYTES:
            os.replace(log, f"{log}.1")
    except OSError:
        pass


def signal_name(number: int) -> str:
    """`SIGKILL`; those without a name, the real-time ones, by number."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = ""
    # Python names the first and the last real-time one, by what its C library has left of them.
    return name if name and number < FIRST_REAL_TIME else f"signal {number}"
