"""What nodes report of instances. Idempotent: a report that says nothing new changes nothing."""

from msgspec.structs import replace

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.settle import settle_instance
from omnitide.fabric.state import ENDED, ExitRecord, Instance, InstanceStatus, Phase

MAX_TEXT = 2000
"""Longest message of an exit that is kept."""


def report_instances(draft: Draft, command: cm.ReportInstances) -> None:
    node = draft.state.nodes.get(command.node)
    if node is None:
        raise Refuse("not-found", f"node {command.node} is not of this fabric")
    if node.session != command.session:
        raise Refuse("stale", f"node {node.name!r} has a newer session ({node.session}) than {command.session}")
    taken = node.sequence if node.outbox == command.outbox else 0
    last = command.first_sequence + len(command.reports) - 1
    draft.result = {"sequence": max(taken, last)}
    if last <= taken:
        return
    for report in command.reports[max(0, taken + 1 - command.first_sequence) :]:
        take_report(draft, node.id, report)
    draft.emit(ev.NodeReported(node=node.id, outbox=command.outbox, sequence=last))


def take_report(draft: Draft, node: str, report: cm.InstanceReport) -> None:
    """One report from one node: ignored unless the instance is that node's and the report is ahead of what is known."""
    instance = draft.state.instances.get(report.instance)
    if instance is None or instance.node != node or instance.status in ENDED:
        return
    if report.phase is Phase.ENDED:
        _ended(draft, instance, report)
        return
    if (report.attempt, report.phase) < (instance.attempt, instance.phase):
        return
    if (report.attempt, report.phase) == (instance.attempt, instance.phase):
        if report.health is not instance.health and report.phase is Phase.RUNNING:
            draft.emit(ev.InstanceHealthChanged(instance=instance.id, health=report.health))
        return
    if report.phase is Phase.STARTING:
        draft.emit(ev.InstanceStarting(instance=instance.id, attempt=report.attempt))
    elif report.phase is Phase.RUNNING:
        draft.emit(
            ev.InstanceRunning(
                instance=instance.id,
                attempt=report.attempt,
                handle=report.handle[:MAX_TEXT],
                unenforced=report.unenforced,
                health=report.health,
            )
        )
    elif report.phase is Phase.WAITING:
        exit_record = _bounded(report.exit) or ExitRecord(reason="unknown")
        draft.emit(
            ev.InstanceExited(
                instance=instance.id,
                exit=replace(exit_record, attempt=report.attempt),
                next_attempt_ms=report.next_attempt_ms,
            )
        )
    if instance.kind == "agent":
        draft.touch(instance.workload)


def _bounded(record: ExitRecord | None) -> ExitRecord | None:
    if record is None or len(record.message) <= MAX_TEXT:
        return record
    return replace(record, message=record.message[:MAX_TEXT] + "...")


def _outcome(instance: Instance, report: cm.InstanceReport) -> InstanceStatus:
    if instance.status is InstanceStatus.STOPPING:
        return InstanceStatus.STOPPED
    if report.outcome == "succeeded":
        return InstanceStatus.SUCCEEDED
    if report.outcome == "stopped":
        return InstanceStatus.STOPPED
    return InstanceStatus.FAILED


def _ended(draft: Draft, instance: Instance, report: cm.InstanceReport) -> None:
    exit_record = _bounded(report.exit)
    if exit_record is not None:
        exit_record = replace(exit_record, attempt=max(report.attempt, instance.attempt))
        if exit_record.cause == "port-busy" and exit_record.message.isdigit():
            draft.emit(ev.NodePortRefused(node=instance.node, port=int(exit_record.message)))
    status = _outcome(instance, report)
    draft.emit(ev.InstanceEnded(instance=instance.id, status=status.value, exit=exit_record))
    settle_instance(draft, instance)
