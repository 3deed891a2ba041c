"""What nodes report of instances. Idempotent: a report that says nothing new changes nothing."""

import re
from typing import Final

from msgspec.structs import replace

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.membership import is_current
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.bounds import MAX_TEXT, bounded_exit, bounded_text
from omnitide.fabric.rules.returning import adopt, came_to_run
from omnitide.fabric.rules.rolling import note_end
from omnitide.fabric.rules.settle import settle_instance
from omnitide.fabric.state import (
    ASKED_FOR,
    ENDED,
    PORT_BUSY,
    TAKEN_DOWN,
    ExitRecord,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    JobStatus,
    Node,
    Phase,
    spec_of_instance,
)

MAX_SEQUENCE: Final = 1 << 53
"""Beyond it no outbox counts, and not every reader of the log could."""
_NUMBER: Final = re.compile(r"(?<![0-9])[0-9]{1,5}(?![0-9])")


def in_session(draft: Draft, identifier: str, session: int) -> Node:
    """The node that speaks, if `session` is its newest one."""
    node = draft.state.nodes.get(identifier)
    if node is None:
        raise Refuse("not-found", f"node {identifier} is not of this fabric")
    if not node.session:
        raise Refuse("stale", f"node {node.name!r} has not connected yet")
    if node.session != session:
        raise Refuse("stale", f"node {node.name!r} has a newer session ({node.session}) than {session}")
    return node


def report_instances(draft: Draft, command: cm.ReportInstances) -> None:
    node = in_session(draft, command.node, command.session)
    if node.outbox != command.outbox:
        raise Refuse("stale", f"node {node.name!r} connected with outbox {node.outbox!r}, not {command.outbox!r}")
    last = command.first_sequence + len(command.reports) - 1
    if command.reports and not 1 <= command.first_sequence <= last <= MAX_SEQUENCE:
        raise Refuse("invalid", f"reports are numbered from 1 to {MAX_SEQUENCE}, not from {command.first_sequence}")
    draft.result = {"sequence": max(node.sequence, last) if command.reports else node.sequence}
    if not command.reports or last <= node.sequence:
        return
    for report in command.reports[max(0, node.sequence + 1 - command.first_sequence) :]:
        take_report(draft, node.id, report)
    draft.emit(ev.NodeReported(node=node.id, outbox=command.outbox, sequence=last))


def take_report(draft: Draft, node: str, report: cm.InstanceReport) -> None:
    """One report from one node: ignored unless the instance is that node's and the report is ahead of what is known."""
    instance = draft.state.instances.get(report.instance)
    if instance is None or instance.node != node or instance.status in ENDED:
        return
    phase = report.phase
    if phase is Phase.ENDED:
        _ended(draft, instance, report)
        return
    if (report.attempt, phase) <= (instance.attempt, instance.phase):
        same = (report.attempt, phase) == (instance.attempt, instance.phase)
        if same and phase is Phase.RUNNING and _says_more(instance, report):
            message = bounded_text(report.health_message, MAX_TEXT)
            draft.emit(
                ev.InstanceHealthChanged(
                    instance=instance.id,
                    health=report.health,
                    message=message,
                    unready_ms=_unready_from(instance, report.health, draft.header.time_ms),
                )
            )
            if instance.kind == "agent":
                draft.touch(instance.workload)
        return
    if phase is Phase.WAITING:
        _exited(draft, instance, report, report.attempt)
    elif phase is not Phase.NONE:
        before = (report.attempt - 1, Phase.WAITING)
        if report.exit is not None and report.attempt > 1 and before > (instance.attempt, instance.phase):
            # The report of the attempt before has been overtaken by this one: how that ended is kept all the same.
            _exited(draft, instance, report, report.attempt - 1)
        if phase is Phase.STARTING:
            draft.emit(ev.InstanceStarting(instance=instance.id, attempt=report.attempt))
        else:
            came_to_run(draft, instance, report)
    if instance.kind == "agent":
        draft.touch(instance.workload)


def _unready_from(instance: Instance, health: Health, now_ms: int) -> int:
    if health is Health.HEALTHY:
        return 0
    return now_ms if instance.health is Health.HEALTHY else instance.unready_ms


def _says_more(instance: Instance, report: cm.InstanceReport) -> bool:
    """Whether its health is another, or why it is not known is told for the first time. Not of one that stops by
    request: its node probes it no more, which is of the stop, and would stand beside it as if something were amiss."""
    if report.health is not instance.health:
        return bool(
            report.health is not Health.UNKNOWN
            or report.health_message
            or instance.status is not InstanceStatus.STOPPING
        )
    return report.health is Health.UNKNOWN and bool(report.health_message) and not instance.health_message


def _exited(draft: Draft, instance: Instance, report: cm.InstanceReport, attempt: int) -> None:
    draft.emit(
        ev.InstanceExited(
            instance=instance.id,
            exit=_exit_of(instance, report, attempt) or ExitRecord(attempt=attempt, reason="unknown"),
            next_attempt_ms=report.next_attempt_ms if report.phase is Phase.WAITING else 0,
        )
    )
    note_end(draft, instance)


def _exit_of(instance: Instance, report: cm.InstanceReport, attempt: int) -> ExitRecord | None:
    """As it is kept: with who asked for the end, where that was not the fabric."""
    record = bounded_exit(report.exit, attempt)
    if record is None or record.reason not in ASKED_FOR or record.cause or instance.stop_reason:
        return record
    return replace(record, message=TAKEN_DOWN)


def _outcome(instance: Instance, report: cm.InstanceReport) -> InstanceStatus:
    if report.outcome == "succeeded" and _counts_as_done(instance):
        return InstanceStatus.SUCCEEDED
    if instance.status is InstanceStatus.STOPPING or report.outcome == "stopped":
        return InstanceStatus.STOPPED
    return InstanceStatus.FAILED


def _counts_as_done(instance: Instance) -> bool:
    """Whether one that ended by itself has done its work although it had been asked to stop by then."""
    if instance.status is not InstanceStatus.STOPPING:
        return True
    # A task is done whatever the stop was for; a replica only if no other version or life of it was wanted.
    return instance.kind == "job" or instance.stop_reason == "drain"


def _ended(draft: Draft, instance: Instance, report: cm.InstanceReport) -> None:
    exit_record = _exit_of(instance, report, max(report.attempt, instance.attempt))
    if exit_record is not None and exit_record.cause == PORT_BUSY:
        for port in _refused_ports(draft.state, instance, exit_record.message):
            draft.emit(ev.NodePortRefused(node=instance.node, port=port))
        exit_record = _in_words(exit_record)
    status = _outcome(instance, report)
    if status is InstanceStatus.SUCCEEDED and _finishes_its_job(draft, instance):
        adopt(draft, instance, max(report.attempt, instance.attempt))
    asked = exit_record is not None and _was_asked(instance, status, exit_record)
    draft.emit(ev.InstanceEnded(instance=instance.id, status=status.value, exit=exit_record, asked=asked))
    settle_instance(draft, instance)
    note_end(draft, instance)


def _was_asked(instance: Instance, status: InstanceStatus, ending: ExitRecord) -> bool:
    """Whether the last attempt ended as somebody asked for it, and not by itself before that."""
    if instance.exit is not None and instance.exit.attempt >= ending.attempt:
        return False  # it waited for its next attempt
    return ending.reason in ASKED_FOR or (status is InstanceStatus.STOPPED and bool(instance.stop_reason))


def _finishes_its_job(draft: Draft, instance: Instance) -> bool:
    """A task that was given up for another, and has done the work before it could be stopped."""
    if instance.kind != "job" or is_current(draft.state, instance):
        return False
    job = draft.state.jobs[instance.workload]
    return job.status is JobStatus.ACTIVE


def _in_words(record: ExitRecord) -> ExitRecord:
    """A node may say no more than the number of the port."""
    if not record.message.isdecimal():
        return record
    return replace(record, message=f"host port {record.message} is taken by something else")


def _refused_ports(state: FabricState, instance: Instance, message: str) -> list[int]:
    """The ports of the instance that the message names, all of them if it names none, but for those that its spec
    fixes: others can take the place of what the node chose; a fixed one is tried again (see `next_try`)."""
    ports = spec_of_instance(state, instance).ports
    named = {int(number) for number in _NUMBER.findall(message)}
    held = {port for _, port in instance.ports}
    fixed = {port.port for port in ports.values() if port.port}
    return sorted((held & named or held) - fixed)
