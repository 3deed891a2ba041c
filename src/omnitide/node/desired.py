"""What should be on this node: the assignments and specs that Nexus sent, and how a message changes them. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from omnitide.model.spec import AgentSpec, JobSpec, WorkloadSpec
from omnitide.node.instructions import SaveDesired
from omnitide.node.records import Assignment, Goal
from omnitide.node.stimuli import DesiredReceived

MAX_ASSIGNMENTS: Final = 50_000
MAX_SPECS: Final = 10_000
"""Specs of one stream that are kept; Nexus sends each only once a stream, so none is dropped before its end."""
MAX_SPEC_BYTES: Final = 64 << 20


class DesiredInvalid(Exception):
    """A message that cannot be applied to what is known; a new session brings a full state."""


class SpecUnreadable(Exception):
    """A spec that this node's software cannot read, most likely of a newer Nexus."""


class Change(msgspec.Struct, frozen=True):
    """What a message changed."""

    assigned: tuple[Assignment, ...]
    """New or different assignments."""
    removed: tuple[str, ...]
    """Instances that are no longer wanted, whether or not they were known to be."""
    save: SaveDesired | None


class DesiredState:
    """The desired state of this node and the revision it stands at."""

    def __init__(self) -> None:
        self.log_id = ""
        self.revision = 0
        self.synced = False
        """A full state has come from Nexus since this process began: what is absent is known to be unwanted."""
        self._assignments: dict[str, Assignment] = {}
        self._specs: dict[str, bytes] = {}
        self._readable: dict[tuple[str, str], WorkloadSpec] = {}
        self._spec_bytes = 0
        self._uses: dict[str, int] = {}
        """Assignments by spec key; a key is here while its spec is durable."""
        self._foreign_specs = False
        """The specs are of another incarnation of the log, whose keys may have named other specs than today's."""
        self._stream_revision: int | None = None
        """Highest revision seen in this session; None until its full state has come."""

    def restore(
        self, log_id: str, revision: int, assignments: tuple[Assignment, ...], specs: Mapping[str, bytes]
    ) -> None:
        self.log_id = log_id
        self.revision = revision
        self._assignments = {assignment.instance: assignment for assignment in assignments}
        for assignment in assignments:
            self._uses[assignment.spec_key] = self._uses.get(assignment.spec_key, 0) + 1
        self._put_specs(specs)

    def connect(self, log_id: str) -> None:
        """A session began. Within it revisions only grow; across sessions they say nothing, a log may be restored."""
        self._stream_revision = None
        if log_id != self.log_id:
            self.log_id = log_id
            self.revision = 0
            self._foreign_specs = True

    def assignments(self) -> tuple[Assignment, ...]:
        return tuple(self._assignments.values())

    def used_specs(self) -> dict[str, bytes]:
        return {key: self._specs[key] for key in self._uses if key in self._specs}

    def get(self, instance: str) -> Assignment | None:
        return self._assignments.get(instance)

    def apply(self, message: DesiredReceived) -> Change | None:
        """Take in a message; None if it is an old one come again. Raises DesiredInvalid, having changed nothing."""
        if self._stream_revision is None and not message.full:
            raise DesiredInvalid("a change of the desired state came before the state itself")
        if self._stream_revision is not None and message.revision < self._stream_revision:
            return None
        self._check(message)
        if message.full:
            self._keep_specs(message.specs)
        changed_specs = {key for key, raw in message.specs.items() if self._specs.get(key) != raw}
        self._put_specs(message.specs)
        before = frozenset(self._uses)
        wanted = {assignment.instance for assignment in message.assignments}
        gone = self._assignments if message.full else message.removed
        removed = tuple(instance for instance in gone if instance not in wanted)
        for instance in removed:
            self._drop(instance)
        assigned = tuple(a for a in message.assignments if self._put(a))
        advanced = message.revision != self.revision
        self._stream_revision = self.revision = message.revision
        self.synced = self.synced or message.full
        new_specs = {
            key: self._specs[key]
            for key in self._uses
            if key in self._specs and (key not in before or key in changed_specs)
        }
        save = SaveDesired(
            log_id=self.log_id,
            revision=self.revision,
            assignments=assigned,
            removed=removed,
            specs=new_specs,
            removed_specs=tuple(sorted(before - self._uses.keys())),
        )
        changed = advanced or assigned or removed or new_specs or save.removed_specs
        return Change(assigned, removed, save if changed else None)

    def spec(self, assignment: Assignment) -> WorkloadSpec:
        """The spec of an assignment. Raises SpecUnreadable."""
        known = self._readable.get((assignment.spec_key, assignment.kind))
        if known is not None:
            return known
        raw = self._specs.get(assignment.spec_key)
        if raw is None:
            raise SpecUnreadable(f"no spec has the key {assignment.spec_key!r}")
        try:
            # By kind, because the defaults of the two differ and defaults are not written.
            spec = msgspec.json.decode(raw, type=JobSpec if assignment.kind == "job" else AgentSpec)
        except msgspec.DecodeError as error:
            raise SpecUnreadable(f"this node's software cannot read the spec: {error}") from error
        self._readable[(assignment.spec_key, assignment.kind)] = spec
        return spec

    def spec_digest(self, assignment: Assignment) -> str:
        """`sha256:<hex>` of the spec's JSON as it came; empty if there is none."""
        raw = self._specs.get(assignment.spec_key)
        return f"sha256:{hashlib.sha256(raw).hexdigest()}" if raw is not None else ""

    def _check(self, message: DesiredReceived) -> None:
        count = len(message.assignments) + (0 if message.full else len(self._assignments))
        if count > MAX_ASSIGNMENTS:
            raise DesiredInvalid(f"more than {MAX_ASSIGNMENTS} instances on one node")
        specs = len(message.specs) + (0 if message.full else len(self._specs))
        size = sum(map(len, message.specs.values())) + (0 if message.full else self._spec_bytes)
        if specs > MAX_SPECS or size > MAX_SPEC_BYTES:
            raise DesiredInvalid(f"more than {MAX_SPECS} specs or {MAX_SPEC_BYTES} bytes of them in one stream")
        for assignment in message.assignments:
            known = assignment.spec_key in self._specs and not self._foreign_specs
            if assignment.goal is Goal.RUN and not known and assignment.spec_key not in message.specs:
                raise DesiredInvalid(f"{assignment.name} has the spec {assignment.spec_key!r}, which was never sent")

    def _put(self, assignment: Assignment) -> bool:
        old = self._assignments.get(assignment.instance)
        if old == assignment:
            return False
        if old is not None:
            self._unuse(old.spec_key)
        self._uses[assignment.spec_key] = self._uses.get(assignment.spec_key, 0) + 1
        self._assignments[assignment.instance] = assignment
        return True

    def _drop(self, instance: str) -> None:
        old = self._assignments.pop(instance, None)
        if old is not None:
            self._unuse(old.spec_key)

    def _unuse(self, key: str) -> None:
        self._uses[key] -= 1
        if not self._uses[key]:
            del self._uses[key]

    def _keep_specs(self, sent: Mapping[str, bytes]) -> None:
        """A new stream: forget what was sent in the one before and is neither used nor sent again."""
        for key in [key for key in self._specs if key not in sent and (self._foreign_specs or key not in self._uses)]:
            self._forget_spec(key)
        self._foreign_specs = False

    def _put_specs(self, specs: Mapping[str, bytes]) -> None:
        for key, raw in specs.items():
            if self._specs.get(key) != raw:
                self._forget_spec(key)
                self._specs[key] = raw
                self._spec_bytes += len(raw)

    def _forget_spec(self, key: str) -> None:
        self._spec_bytes -= len(self._specs.pop(key, b""))
        for kind in ("agent", "job"):
            self._readable.pop((key, kind), None)
