"""The fabric as a watcher of `/v1/view` knows it: every object at a revision. No I/O, no clock; messages go in, what
they changed comes out. Objects are never changed in place: one that looks different is another object.
"""

from typing import Final, Generic, TypeVar

import msgspec

from omnitide.model.inventory import Namespace, Node
from omnitide.model.objects import AgentSummary, Instance, JobSummary
from omnitide.sdk.errors import NotAFabric, foreign

KINDS: Final = ("namespace", "node", "agent", "job", "instance")

T = TypeVar("T")


class _Objects(msgspec.Struct, frozen=True):
    """By kind and id; None: gone."""

    namespace: dict[str, Namespace | None] = {}
    node: dict[str, Node | None] = {}
    agent: dict[str, AgentSummary | None] = {}
    job: dict[str, JobSummary | None] = {}
    instance: dict[str, Instance | None] = {}


class _Message(msgspec.Struct, frozen=True):
    kind: str
    time_ms: int = 0
    revision: int = 0
    log: str = ""
    part: int = 0
    parts: int = 0
    objects: _Objects = _Objects()
    node: dict[str, tuple[int, int]] = {}


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a message changed."""

    kinds: frozenset[str] = frozenset()
    """Of `KINDS`: those of which an object is another."""
    use: bool = False
    """How busy nodes are."""


NOTHING: Final = Changes()


class _Table(Generic[T]):
    """Objects of a kind, and those of a snapshot of which not all parts are there."""

    def __init__(self) -> None:
        self.now: dict[str, T] = {}
        self.coming: dict[str, T] = {}

    def put(self, objects: dict[str, T | None], *, coming: bool) -> bool:
        table = self.coming if coming else self.now
        for identifier, found in objects.items():
            if found is None:
                table.pop(identifier, None)
            else:
                table[identifier] = found
        return bool(objects)

    def begin(self) -> None:
        self.coming = {}

    def finish(self) -> None:
        self.now, self.coming = self.coming, {}


class View:
    """Every object of the fabric at a revision. Belongs to its watch, which alone changes it."""

    def __init__(self) -> None:
        self.log = ""
        """The log that `revision` is of: another one after a restore."""
        self.revision = 0
        self.time_ms = 0
        """Nexus's wall clock when the last message was made."""
        self.filled = False
        """Whether a whole snapshot has come. From then on there is always one: a new one takes its place at once."""
        self.use: dict[str, tuple[int, int]] = {}
        """By id of the node: the cpu that it uses in thousandths of a core, and the memory in bytes."""
        self._namespaces = _Table[Namespace]()
        self._nodes = _Table[Node]()
        self._agents = _Table[AgentSummary]()
        self._jobs = _Table[JobSummary]()
        self._instances = _Table[Instance]()
        self._tables = (self._namespaces, self._nodes, self._agents, self._jobs, self._instances)
        self._part = self._parts = 0
        """Of the snapshot that is coming; 0: none is."""
        self._coming = 0

    @property
    def namespaces(self) -> dict[str, Namespace]:
        return self._namespaces.now

    @property
    def nodes(self) -> dict[str, Node]:
        """By id, as are the others."""
        return self._nodes.now

    @property
    def agents(self) -> dict[str, AgentSummary]:
        return self._agents.now

    @property
    def jobs(self) -> dict[str, JobSummary]:
        return self._jobs.now

    @property
    def instances(self) -> dict[str, Instance]:
        return self._instances.now

    def begin(self) -> None:
        """A connection begins: what had come of a snapshot is worth nothing to it."""
        self._part = self._parts = 0

    def take(self, frame: str | bytes) -> Changes:
        """Raises NotAFabric for a message that is none, or does not fit what came before."""
        try:
            message = msgspec.json.decode(frame, type=_Message)
        except msgspec.MsgspecError as error:
            raise NotAFabric(foreign(f"a message of the view cannot be understood: {error}")) from error
        match message.kind:
            case "snapshot":
                changes = self._take_part(message)
            case "patch":
                changes = self._take_patch(message)
            case "use":
                self.use.update((key, busy) for key, busy in message.node.items() if key in self.nodes)
                changes = Changes(use=True)
            case "beat":
                if not self._parts:
                    self.revision = message.revision
                changes = NOTHING
            case _:
                # Of a later Nexus.
                return NOTHING
        self.time_ms = message.time_ms
        return changes

    def _take_patch(self, message: _Message) -> Changes:
        if not self.filled or self._parts:
            raise NotAFabric(foreign("a patch of the view came before the whole snapshot"))
        kinds = self._put(message.objects, coming=False)
        for identifier, node in message.objects.node.items():
            if node is None:
                self.use.pop(identifier, None)
        self.revision = message.revision
        return Changes(kinds=kinds)

    def _take_part(self, message: _Message) -> Changes:
        if message.part == 1:
            self._part, self._parts, self._coming = 0, message.parts, message.revision
            for table in self._tables:
                table.begin()
        fits = message.part == self._part + 1 and message.parts == self._parts and message.revision == self._coming
        if not fits:
            raise NotAFabric(foreign(f"part {message.part} of a snapshot of the view came out of order"))
        self._part = message.part
        self._put(message.objects, coming=True)
        if message.part < message.parts:
            return NOTHING
        for table in self._tables:
            table.finish()
        self.begin()
        self.log, self.revision, self.filled = message.log, message.revision, True
        self.use = {key: busy for key, busy in self.use.items() if key in self.nodes}
        return Changes(kinds=frozenset(KINDS), use=True)

    def _put(self, objects: _Objects, *, coming: bool) -> frozenset[str]:
        changed = (
            ("namespace", self._namespaces.put(objects.namespace, coming=coming)),
            ("node", self._nodes.put(objects.node, coming=coming)),
            ("agent", self._agents.put(objects.agent, coming=coming)),
            ("job", self._jobs.put(objects.job, coming=coming)),
            ("instance", self._instances.put(objects.instance, coming=coming)),
        )
        return frozenset(kind for kind, touched in changed if touched)
