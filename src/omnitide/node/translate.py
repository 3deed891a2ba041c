"""Between the wire's messages and the node's own data. What a newer Nexus says beyond what is known is left out."""

from collections.abc import Iterable
from typing import Final

from omnitide.node.facts import Facts, HostUse
from omnitide.node.records import Assignment, Ending, Goal, Health, Phase, Report
from omnitide.node.stimuli import DesiredReceived
from omnitide.wire import node_pb2 as pb

_PHASES: Final = {
    Phase.STARTING: pb.PHASE_STARTING,
    Phase.RUNNING: pb.PHASE_RUNNING,
    Phase.WAITING: pb.PHASE_WAITING,
    Phase.STOPPING: pb.PHASE_STOPPING,
    Phase.ENDED: pb.PHASE_ENDED,
}
_HEALTH: Final = {
    Health.UNKNOWN: pb.HEALTH_UNKNOWN,
    Health.HEALTHY: pb.HEALTH_HEALTHY,
    Health.UNHEALTHY: pb.HEALTH_UNHEALTHY,
}
_GOALS: Final = {pb.GOAL_RUN: Goal.RUN, pb.GOAL_STOP: Goal.STOP}


def report_message(report: Report) -> pb.InstanceReport:
    return pb.InstanceReport(
        instance=report.instance,
        attempt=report.attempt,
        phase=_PHASES[report.phase],
        at_ms=report.at_ms,
        exit=_exit_message(report.ending) if report.ending is not None else None,
        next_attempt_at_ms=report.next_attempt_at_ms,
        handle=report.handle,
        unenforced=report.unenforced,
        outcome=report.outcome or "",
        spec_digest=report.spec_digest,
        generation=report.generation,
        health=_HEALTH[report.health],
        health_message=report.health_message,
    )


def _exit_message(ending: Ending) -> pb.Exit:
    return pb.Exit(
        code=ending.code,
        signal=ending.signal,
        reason=ending.reason,
        message=ending.message,
        out_of_memory=ending.out_of_memory,
        ended_at_ms=ending.ended_at_ms,
        cause=ending.cause,
        permanent=ending.permanent,
    )


def facts_message(facts: Facts) -> pb.Facts:
    return pb.Facts(
        name=facts.name,
        labels=facts.labels,
        cpu_milli=facts.cpu_milli,
        memory_bytes=facts.memory_bytes,
        disk_bytes=facts.disk_bytes,
        drivers=[
            pb.DriverFact(
                name=driver.name,
                version=driver.version,
                healthy=driver.healthy,
                detail=driver.detail,
                enforces=driver.enforces,
                absent=driver.absent,
                silent=driver.silent,
            )
            for driver in facts.drivers
        ],
        port_first=facts.port_first,
        port_last=facts.port_last,
        address=facts.address,
        platform=facts.platform,
        devices=facts.devices,
    )


def beat_message(number: int, *, keeper_alive: bool, use: HostUse, instances_running: int, now_ms: int) -> pb.Beat:
    return pb.Beat(
        number=number,
        keeper_alive=keeper_alive,
        now_ms=now_ms,
        host=pb.HostUse(
            cpu_milli_used=use.cpu_milli_used,
            memory_used_bytes=use.memory_used_bytes,
            disk_used_bytes=use.disk_used_bytes,
            network_received_bytes=use.network_received_bytes,
            network_sent_bytes=use.network_sent_bytes,
            load_milli=use.load_milli,
            instances_running=instances_running,
        ),
    )


def desired_stimulus(parts: Iterable[pb.Desired], at_ms: int) -> DesiredReceived:
    """One stimulus of a message and, for a full state in several, its further parts."""
    messages = list(parts)
    specs: dict[str, bytes] = {}
    for message in messages:
        specs.update(sorted(message.specs.items()))  # a protobuf map has no order of its own
    return DesiredReceived(
        at_ms=at_ms,
        full=messages[0].full,
        revision=messages[-1].revision,
        assignments=tuple(_assignment(a) for message in messages for a in message.assignments),
        removed=tuple(name for message in messages for name in message.removed),
        specs=specs,
    )


def _assignment(message: pb.Assignment) -> Assignment:
    return Assignment(
        instance=message.instance,
        name=message.name,
        namespace=message.namespace,
        kind=message.kind,
        workload=message.workload,
        version=message.version,
        slot=message.slot,
        generation=message.generation,
        goal=_GOALS.get(message.goal, Goal.KEEP),
        spec_key=message.spec_key,
        ports=dict(sorted(message.ports.items())),
        attempts_seen=message.attempts_seen,
        correlation=message.correlation,
        stop_reason=message.stop_reason,
        secrets=dict(sorted(message.secrets.items())),
        configs=dict(sorted(message.configs.items())),
        ends_before=message.ends_before,
    )
