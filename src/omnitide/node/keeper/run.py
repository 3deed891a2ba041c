"""A run: what the keeper knows of one attempt of an instance."""

from omnitide.node.keeper import ending, protocol
from omnitide.node.keeper.cgroup_files import Groups
from omnitide.node.keeper.ending import Exit
from omnitide.node.keeper.loop import Timer
from omnitide.node.keeper.protocol import Json
from omnitide.node.keeper.spec import Identity, RunSpec

STARTING = "starting"
RUNNING = "running"
STOPPING = "stopping"
EXITED = "exited"
UNKNOWN = "unknown"

PLAIN = ""
SANDBOX = "sandbox"
ZYGOTE = "zygote"

Key = tuple[str, int]


class Run:
    """One attempt of one instance, from its start request until it is removed.

    `pid` stays after the end, for people; `main_alive` says whether it still names our process. `exit` is set as soon
    as the main process has ended, while `state` is EXITED only when its whole tree is gone and its output is read.
    """

    __slots__ = (
        "attempt",
        "boot",
        "command",
        "common",
        "directory",
        "environment",
        "exit",
        "failure",
        "fence_at_ms",
        "fence_timer",
        "first",
        "groups",
        "hook_pid",
        "identity",
        "instance",
        "kill_due_ms",
        "kill_reason",
        "kill_timer",
        "kind",
        "labels",
        "main_alive",
        "name",
        "pid",
        "pipes",
        "pre_stop",
        "settle_delay_ms",
        "settle_timer",
        "settled_for_ms",
        "started_at_ms",
        "started_ticks",
        "state",
        "status_fd",
        "stop_grace_ms",
        "stop_signal",
        "unenforced",
        "user",
        "user_namespace",
        "wanted_stop_ms",
        "words",
        "words_fd",
    )

    def __init__(self, *, instance: str, attempt: int, name: str, labels: dict[str, str]) -> None:
        self.instance = instance
        self.attempt = attempt
        self.name = name
        self.labels = labels
        self.state = STARTING
        self.boot = ""
        """The boot of the machine in which it was started, for a run that an earlier keeper has left; else empty."""
        self.command = ""
        self.common = b""
        """What clients are told and the disk remembers alike, as JSON without its last brace; see `told`."""
        self.directory = ""
        self.user = ""
        self.environment: dict[str, str] = {}
        """As it was started with, as `identity`: further programs in it get the same. Of a live run only."""
        self.identity: Identity | None = None
        self.pid = 0
        self.started_ticks = 0
        self.started_at_ms = 0
        self.main_alive = False
        self.exit: Exit | None = None
        self.unenforced: tuple[str, ...] = ()
        self.groups: Groups = {}
        self.stop_signal = 15
        self.stop_grace_ms = 0
        self.kill_reason = ""
        """Why the keeper ends it: stopped, killed, fenced; empty while nobody wants that."""
        self.wanted_stop_ms: int | None = None
        """Grace of a stop that was asked for before the program was executed."""
        self.fence_at_ms = 0
        """Due time on the monotonic clock; 0 for a run without fence."""
        self.failure = b""
        """What the child said of a failed exec."""
        self.status_fd = -1
        self.kind = PLAIN
        self.words_fd = -1
        """Where bubblewrap or a zygote's child says what only it knows; -1 for a plain process."""
        self.words = b""
        self.first = 0
        """The first process of its sandbox, once the program in there has been executed."""
        self.user_namespace = False
        """Its sandbox has users of its own."""
        self.pre_stop: tuple[str, ...] = ()
        self.hook_pid = 0
        """Of `pre_stop` while it runs."""
        self.pipes: dict[int, int] = {}
        """Descriptors of output still open, with their streams."""
        self.kill_timer: Timer | None = None
        self.kill_due_ms = 0
        """When `kill_timer` was due in the program before an upgrade."""
        self.fence_timer: Timer | None = None
        self.settle_timer: Timer | None = None
        self.settle_delay_ms = 0
        self.settled_for_ms = 0

    @property
    def key(self) -> Key:
        return self.instance, self.attempt

    @property
    def ended(self) -> bool:
        return self.state in (EXITED, UNKNOWN)


def from_spec(spec: RunSpec) -> Run:
    run = Run(instance=spec.instance, attempt=spec.attempt, name=spec.name, labels=spec.labels)
    run.command = spec.command[0]
    run.user = str(spec.identity.uid) if spec.identity else ""
    run.environment = spec.environment
    run.identity = spec.identity
    run.pre_stop = spec.pre_stop
    run.kind = SANDBOX if spec.wrapper else ZYGOTE if spec.zygote else PLAIN
    run.user_namespace = "--unshare-user" in spec.wrapper
    run.stop_signal = spec.stop_signal
    run.stop_grace_ms = spec.stop_grace_ms
    return run


def public(run: Run) -> Json:
    """A run as clients see it."""
    return {
        "instance": run.instance,
        "attempt": run.attempt,
        "name": run.name,
        "state": run.state,
        "pid": run.pid,
        "started_at_ms": run.started_at_ms,
        "exit": ending.to_fields(run.exit) if run.exit is not None and run.ended else None,
        "unenforced": list(run.unenforced),
        "groups": run.groups,
        "labels": run.labels,
        "kind": run.kind,
    }


def record(run: Run, boot: str) -> Json:
    """A run as it is remembered on disk."""
    return {
        "instance": run.instance,
        "attempt": run.attempt,
        "name": run.name,
        "labels": run.labels,
        "pid": run.pid,
        "started_ticks": run.started_ticks,
        "boot": boot,
        "started_at_ms": run.started_at_ms,
        "unenforced": list(run.unenforced),
        "groups": run.groups,
        "kind": run.kind,
    }


def _common(run: Run) -> bytes:
    """Encoded when it is first asked for, which is when the process is there: none of it changes from then on."""
    if not run.common:
        fields: Json = {
            "instance": run.instance,
            "attempt": run.attempt,
            "name": run.name,
            "pid": run.pid,
            "started_at_ms": run.started_at_ms,
            "unenforced": run.unenforced,
            "groups": run.groups,
            "labels": run.labels,
            "kind": run.kind,
        }
        run.common = protocol.to_json(fields)[:-1]
    return run.common


def told(run: Run) -> bytes:
    """`public`, as JSON. A start has it told two or three times: most of it is encoded once."""
    how = protocol.to_json(ending.to_fields(run.exit)) if run.exit is not None and run.ended else b"null"
    told = b'%b,"state":"%b","exit":%b}' % (_common(run), run.state.encode(), how)
    if run.ended:
        run.common = b""  # seldom asked for from here on
    return told


def remembered(run: Run, boot: bytes) -> bytes:
    """`record`, as JSON; `boot` is JSON too."""
    return b'%b,"started_ticks":%d,"boot":%b}' % (_common(run), run.started_ticks, boot)


def from_record(fields: Json) -> Run:
    """The run that a record tells of. Raises Refused for a record that is not one."""
    run = Run(
        instance=protocol.text(fields, "instance"),
        attempt=protocol.number(fields, "attempt", least=1),
        name=protocol.text(fields, "name", ""),
        labels=protocol.strings(fields, "labels"),
    )
    run.boot = protocol.text(fields, "boot", "")
    run.pid = protocol.number(fields, "pid", 0)
    run.started_ticks = protocol.number(fields, "started_ticks", 0)
    run.started_at_ms = protocol.number(fields, "started_at_ms", 0)
    run.unenforced = tuple(str(limit) for limit in protocol.items(fields, "unenforced"))
    run.groups = protocol.strings(fields, "groups")
    run.kind = protocol.text(fields, "kind", PLAIN)
    return run
