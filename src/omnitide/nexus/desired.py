"""What a node is told of what should be on it: cut into messages that can be sent, and within what a node takes."""

from collections.abc import Iterator
from typing import Final

from omnitide.fabric.state import FabricState, Instance, InstanceStatus, Node
from omnitide.nexus import translate
from omnitide.wire import node_pb2 as pb

MESSAGE_BYTES: Final = 1 << 20
"""A message is ended before it is larger, if it has more than one assignment: gRPC carries 4 MiB, a spec has less."""
ASSIGNMENTS_A_MESSAGE: Final = 200
REMOVED_A_MESSAGE: Final = 5_000
NODE_ASSIGNMENTS: Final = 10_000
"""Instances that one node is told of: so many reports fit into its hello, see `node.hello`."""
NODE_BYTES: Final = 48 << 20
"""Of all that one node is told. It takes 64 MiB (`node.session.MAX_DESIRED_BYTES`), in memory and on disk."""
ASSIGNMENT_BYTES: Final = 1 << 10
"""What an assignment counts towards NODE_BYTES without its spec; 10,000 of 4 KiB would fit as well."""

_TOLD_FIRST: Final = {InstanceStatus.STOPPING: 0, InstanceStatus.RUNNING: 1, InstanceStatus.STARTING: 2}


class DesiredLoad:
    """How much one node is told, and what of it has to wait. Remembers sizes of specs, since each look would encode
    them all again."""

    def __init__(self) -> None:
        self._spec_bytes: dict[str, int] = {}
        self._within: set[str] = set()
        """Instances that fitted at the last look: they stay, whatever else comes."""

    def fit(self, state: FabricState, node: Node) -> dict[str, str]:
        """The instances that the node cannot be told of now, and why, in words for people. What it has been told before
        or may run is never among them as long as all of that fits."""
        instances = [state.instances[identifier] for identifier in node.instances]
        instances = [each for each in instances if translate.goal_of(each) != pb.GOAL_UNSPECIFIED]
        sizes = {translate.spec_key(each): 0 for each in instances}
        for each in instances:
            key = translate.spec_key(each)
            sizes[key] = sizes[key] or self._spec_bytes.get(key) or len(translate.spec_json(state, each))
        self._spec_bytes = sizes
        total = sum(sizes.values()) + ASSIGNMENT_BYTES * len(instances)
        if total <= NODE_BYTES and len(instances) <= NODE_ASSIGNMENTS:
            self._within = {each.id for each in instances}
            return {}
        return self._withhold(instances)

    def _withhold(self, instances: list[Instance]) -> dict[str, str]:
        def order(instance: Instance) -> tuple[bool, int, str]:
            return instance.id not in self._within, _TOLD_FIRST.get(instance.status, 3), instance.id

        withheld: dict[str, str] = {}
        within: set[str] = set()
        keys: set[str] = set()
        total = 0
        for instance in sorted(instances, key=order):
            key = translate.spec_key(instance)
            size = ASSIGNMENT_BYTES + (0 if key in keys else self._spec_bytes[key])
            if len(within) >= NODE_ASSIGNMENTS:
                withheld[instance.id] = f"its node has {NODE_ASSIGNMENTS} instances already, the most that one is given"
            elif total + size > NODE_BYTES:
                withheld[instance.id] = (
                    f"the specs of what is on its node have {NODE_BYTES >> 20} MiB together, the most that one node is "
                    "given; use smaller specs, or more nodes"
                )
            else:
                within.add(instance.id)
                keys.add(key)
                total += size
        self._within = within
        return withheld


def desired_messages(state: FabricState, changed: list[str], removed: list[str], *, full: bool) -> Iterator[pb.Desired]:
    """The messages that tell of assignments that changed and of what is no longer the node's business. The parts of a
    full state belong together; a delta's messages stand each for itself. Each brings the specs that it uses."""
    desired, size = pb.Desired(full=full, revision=state.revision), 0
    for identifier in changed:
        instance = state.instances[identifier]
        key = translate.spec_key(instance)
        assignment = translate.assignment_of(state, instance, translate.goal_of(instance))
        spec = translate.spec_json(state, instance) if key not in desired.specs else b""
        grown = assignment.ByteSize() + len(spec) + len(key)
        count = len(desired.assignments)
        if count and (size + grown > MESSAGE_BYTES or count >= ASSIGNMENTS_A_MESSAGE):
            desired.more = full
            yield desired
            desired, size = pb.Desired(revision=state.revision), 0
            spec = translate.spec_json(state, instance)
            grown = assignment.ByteSize() + len(spec) + len(key)
        desired.assignments.append(assignment)
        if key not in desired.specs:
            desired.specs[key] = spec
        size += grown
    for start in range(0, len(removed), REMOVED_A_MESSAGE):
        part = removed[start : start + REMOVED_A_MESSAGE]
        if len(desired.removed) or (desired.assignments and len(part) > 200):
            desired.more = full
            yield desired
            desired = pb.Desired(revision=state.revision)
        desired.removed.extend(part)
    yield desired
