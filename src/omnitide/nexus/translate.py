"""Between the node protocol's messages and the core's types. Tolerant: what a newer peer adds is passed over."""

from typing import Final

import msgspec

from omnitide.fabric.commands import InstanceReport
from omnitide.fabric.state import (
    DriverFact,
    ExitRecord,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    NodeFacts,
    Phase,
    spec_of_instance,
)
from omnitide.nexus.provisioning import versions
from omnitide.wire import node_pb2 as pb

_PHASES = {
    pb.PHASE_STARTING: Phase.STARTING,
    pb.PHASE_RUNNING: Phase.RUNNING,
    pb.PHASE_WAITING: Phase.WAITING,
    pb.PHASE_STOPPING: Phase.RUNNING,
    pb.PHASE_ENDED: Phase.ENDED,
}
_HEALTH = {pb.HEALTH_HEALTHY: Health.HEALTHY, pb.HEALTH_UNHEALTHY: Health.UNHEALTHY}

MAX_LABELS = 256
MAX_TEXT = 1024
MAX_ENDS = (1 << 32) - 1
MAX_TIME_MS = 1 << 47
"""In the year 6429: every calendar has it."""


def _texts(mapping: "dict[str, str]") -> dict[str, str]:
    """A node's own words, bounded, in a fixed order: maps on the wire have none."""
    return {key[:MAX_TEXT]: mapping[key][:MAX_TEXT] for key in sorted(mapping)[:MAX_LABELS]}


def time_from(milliseconds: int) -> int:
    """A time by a node's clock, such that it can be shown."""
    return min(max(0, milliseconds), MAX_TIME_MS)


SAME_CLOCK_MS: Final = 5000
"""Two clocks that are apart by less are taken for one: what is said of them has been on its way for a while."""


def ahead_ms(told_ms: int, now_ms: int, before_ms: int) -> int:
    """How far a node's clock is ahead that was told just now, in whole seconds; 0: by little, or not told. `before_ms`:
    as it was found before, which holds while nothing else is found for certain."""
    ahead = time_from(told_ms) - now_ms if told_ms else 0
    if abs(ahead) < SAME_CLOCK_MS:
        return 0
    return before_ms if before_ms and abs(ahead - before_ms) < SAME_CLOCK_MS else round(ahead / 1000) * 1000


def node_time(milliseconds: int, ahead: int) -> int:
    """A time by the clock of a node, which is so far ahead, as it is by our own; 0: none."""
    return time_from(milliseconds - ahead) if milliseconds else 0


MAX_DEVICES: Final = 64
"""Of which a node tells; what is beyond is not known to be given."""


def facts_from(message: pb.Facts, *, software: str, boot_id: str) -> NodeFacts:
    return NodeFacts(
        labels=_texts(dict(message.labels)),
        cpu_milli=message.cpu_milli,
        memory_bytes=message.memory_bytes,
        disk_bytes=message.disk_bytes,
        drivers=tuple(
            DriverFact(
                name=driver.name[:64],
                version=driver.version[:MAX_TEXT],
                healthy=driver.healthy,
                detail=driver.detail[:MAX_TEXT],
                enforces=tuple(sorted({word[:64] for word in driver.enforces}))[:16],
                absent=driver.absent,
                silent=driver.silent,
            )
            for driver in sorted(message.drivers, key=lambda fact: fact.name)[:32]
        ),
        port_first=message.port_first,
        port_last=message.port_last,
        address=message.address[:256],
        platform=_texts(dict(message.platform)),
        software=software[:MAX_TEXT],
        boot_id=boot_id[:MAX_TEXT],
        devices=tuple(sorted({path[:MAX_TEXT] for path in message.devices}))[:MAX_DEVICES],
    )


def exit_from(message: pb.Exit, attempt: int, ahead_ms: int = 0) -> ExitRecord:
    return ExitRecord(
        attempt=attempt,
        code=message.code if message.HasField("code") else None,
        signal=message.signal if message.HasField("signal") else None,
        reason=message.reason[:64],
        message=message.message[:MAX_TEXT],
        cause=message.cause[:64],
        out_of_memory=message.out_of_memory,
        permanent=message.permanent,
        ended_ms=node_time(message.ended_at_ms, ahead_ms),
    )


def report_from(message: pb.InstanceReport, ahead_ms: int = 0) -> InstanceReport | None:
    """None for a phase of a newer protocol, which says nothing that this release understands. `ahead_ms`: how far the
    node's clock is ahead of the log's."""
    phase = _PHASES.get(message.phase)
    if phase is None:
        return None
    return InstanceReport(
        instance=message.instance,
        attempt=message.attempt,
        phase=phase,
        stopping=message.phase == pb.PHASE_STOPPING,
        exit=exit_from(message.exit, message.attempt, ahead_ms) if message.HasField("exit") else None,
        next_attempt_ms=node_time(message.next_attempt_at_ms, ahead_ms),
        handle=message.handle[:MAX_TEXT],
        unenforced=tuple(word[:64] for word in message.unenforced[:16]),
        health=_HEALTH.get(message.health, Health.UNKNOWN),
        health_message=message.health_message[:MAX_TEXT],
        outcome=message.outcome[:64],
    )


def spec_key(instance: Instance) -> str:
    return f"{instance.workload}/{instance.version}"


def spec_json(state: FabricState, instance: Instance) -> bytes:
    return msgspec.json.encode(spec_of_instance(state, instance))


def goal_of(instance: Instance) -> "pb.Goal.ValueType":
    """What the node is to do about an instance placed on it; GOAL_UNSPECIFIED: it is not the node's business."""
    if instance.status in (InstanceStatus.PLACED, InstanceStatus.STARTING, InstanceStatus.RUNNING):
        return pb.GOAL_RUN
    if instance.status is InstanceStatus.STOPPING:
        return pb.GOAL_STOP
    return pb.GOAL_UNSPECIFIED


def assignment_of(state: FabricState, instance: Instance, goal: "pb.Goal.ValueType") -> pb.Assignment:
    if instance.kind == "agent":
        workload = state.agents[instance.workload].name
    else:
        workload = state.jobs[instance.workload].name
    secrets, configs = versions(state, instance)
    return pb.Assignment(
        instance=instance.id,
        name=instance.name,
        namespace=instance.namespace,
        kind=instance.kind,
        workload=workload,
        version=instance.version,
        slot=instance.slot,
        generation=instance.generation,
        goal=goal,
        spec_key=spec_key(instance),
        ports=dict(instance.ports),
        attempts_seen=instance.attempt,
        correlation=instance.correlation,
        stop_reason=instance.stop_reason,
        secrets=secrets,
        configs=configs,
        ends_before=min(instance.ends_before, MAX_ENDS),
    )
