"""Instances and their exits."""

from typing import Final

from omnitide.fabric.rules.failing import ends_in_a_row
from omnitide.fabric.state import ExitRecord, FabricState, Instance, InstanceStatus, spec_of_instance
from omnitide.model import objects as ob
from omnitide.model.provisions import VALUES_CHANGED
from omnitide.model.signals import signal_name
from omnitide.operations.views.failing import condition_of, is_failing
from omnitide.operations.views.silence import silent_driver, silent_since, why_unknown

_GONE: Final = frozenset({InstanceStatus.STOPPED, InstanceStatus.SUCCEEDED, InstanceStatus.FAILED})
"""Nothing of it runs anywhere: whatever answers at its ports is something else."""


def show_exit(record: ExitRecord | None) -> ob.InstanceExit | None:
    if record is None:
        return None
    name = signal_name(record.signal or 0)
    return ob.InstanceExit(
        attempt=record.attempt,
        code=record.code,
        signal=record.signal,
        signal_name=name,
        reason=record.reason,
        message=record.message,
        cause=record.cause,
        out_of_memory=record.out_of_memory,
        permanent=record.permanent,
        ended_ms=record.ended_ms,
        text=_exit_text(record, name),
    )


def _exit_text(record: ExitRecord, name: str) -> str:
    if record.cause == VALUES_CHANGED:
        return f"a stop {record.message}"
    if record.signal:
        text = f"signal {record.signal} ({name})" if name else f"signal {record.signal}"
    elif record.code is not None:
        text = f"exit code {record.code}"
    else:
        text = record.cause or record.reason or "ended for an unknown reason"
    if record.out_of_memory:
        text += ", out of memory"
    if record.message and (record.reason == "trap" or (not record.signal and record.code is None)):
        return f"{text}: {record.message}"
    # A driver's message says how it ended, which is above, and after a semicolon what else is known of it.
    further = record.message.partition("; ")[2] if record.reason in ("exited", "signal") else ""
    return f"{text}; {further}" if further else text


def show_instance(state: FabricState, instance: Instance, now_ms: int = 0) -> ob.Instance:
    """`now_ms`: log time; 0: that of the state."""
    silent, now_ms = silent_since(state, instance), now_ms or state.time_ms
    # A runtime does not stop its node from hearing what probes over the network say.
    unheard = silent and not silent_driver(state, instance)
    node = state.nodes.get(instance.node)
    address = node.facts.address if node is not None else ""
    gone = instance.status in _GONE
    ports = {} if gone else dict(instance.ports)
    agent = state.agents[instance.workload] if instance.kind == "agent" else None
    if agent is not None:
        workload, slot = agent.name, agent.slots.get(instance.slot)
    else:
        job = state.jobs[instance.workload]
        workload, slot = job.name, job.slot
    spec = spec_of_instance(state, instance)
    current = slot is not None and slot.current == instance.id
    reset_after = agent.spec.restart.reset_after if agent is not None else None
    return ob.Instance(
        id=instance.id,
        namespace=instance.namespace,
        name=instance.name,
        kind=instance.kind,
        workload=workload,
        workload_id=instance.workload,
        version=instance.version,
        driver=spec.driver,
        isolation=spec.isolation,
        slot=instance.slot,
        generation=instance.generation,
        status="unknown" if silent else instance.status.value,
        last_status=instance.status.value,
        since_ms=silent or _since(instance),
        unknown_since_ms=silent,
        unknown_because=why_unknown(state, instance),
        health="unknown" if unheard else instance.health.value,
        health_message="" if unheard else instance.health_message,
        node=node.name if node is not None else "",
        node_id=instance.node,
        address=address,
        ports=ports,
        urls={name: url_of(address, port) for name, port in ports.items()} if address and not gone else {},
        attempt=instance.attempt,
        next_attempt_ms=instance.next_attempt_ms,
        not_before_ms=instance.not_before_ms,
        exit=show_exit(instance.exit),
        previous_exit=show_exit(slot.last_exit) if slot is not None and current else None,
        failures=slot.failures if slot is not None and current else 0,
        stop_reason=instance.stop_reason,
        condition=condition_of(instance, silent=silent > 0, now_ms=now_ms),
        ends=ends_in_a_row(instance, reset_after, now_ms) if current else 0,
        failing=agent is not None and current and is_failing(agent, instance, now_ms),
        unenforced=instance.unenforced,
        cpu_milli=instance.cpu_milli,
        memory_bytes=instance.memory_bytes,
        handle=instance.handle,
        created_ms=instance.created_ms,
        kept_ms=instance.kept_ms,
        started_ms=instance.started_ms,
        correlation=instance.correlation,
        revision=instance.revision,
    )


def _since(instance: Instance) -> int:
    """Since when it is what it is. What came back with its node has run all the while, not only since that."""
    if instance.status is InstanceStatus.RUNNING and instance.started_ms:
        return min(instance.since_ms, instance.started_ms)
    return instance.since_ms


def url_of(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}"
