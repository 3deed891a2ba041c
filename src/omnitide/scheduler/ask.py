"""What waits for a node: a run of identical instances of one workload version, and what each of them needs."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from omnitide.fabric.rules.room import asked_devices
from omnitide.model.spec import Constraint, WorkloadSpec

_LIMITS: Final = ("cpu", "memory", "pids")


class Requirements(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """What one instance needs of its node. Equal for workloads that the scheduler cannot tell apart."""

    driver: str
    cpu_milli: int = 0
    memory_bytes: int = 0
    static_ports: tuple[tuple[str, int], ...] = ()
    """Name and number, in order of name."""
    allocated_ports: tuple[str, ...] = ()
    """Names of the ports that may be any of the node's range, in order."""
    repeated_port: int = 0
    """A static port that is asked for under two names, which no node can give; 0 if there is none."""
    constraints: tuple[Constraint, ...] = ()
    enforced: tuple[str, ...] = ()
    """What the driver must be able to enforce: of cpu, memory, pids, and sandbox."""
    devices: tuple[str, ...] = ()
    """Paths on the node that a container is given."""
    strategy: Literal["spread", "pack"] = "spread"

    @property
    def static_numbers(self) -> list[int]:
        """Each once: one for tcp and one for udp may share theirs."""
        return sorted({number for _, number in self.static_ports})


def requirements_of(spec: WorkloadSpec) -> Requirements:
    limits = spec.limits
    demanded = (limits.cpu, limits.memory, limits.pids) if limits.enforcement == "required" else (0, 0, 0)
    ports = sorted(spec.ports.items())
    fixed = [(port.port, port.protocol) for _, port in ports if port.port]
    return Requirements(
        driver=spec.driver,
        cpu_milli=spec.resources.cpu,
        memory_bytes=spec.resources.memory,
        static_ports=tuple((name, port.port) for name, port in ports if port.port),
        allocated_ports=tuple(name for name, port in ports if not port.port),
        repeated_port=next((pair[0] for pair in fixed if fixed.count(pair) > 1), 0),
        constraints=spec.constraints,
        enforced=(
            *(name for name, limit in zip(_LIMITS, demanded, strict=True) if limit),
            *(("sandbox",) if spec.isolation == "sandbox" else ()),
        ),
        devices=asked_devices(spec),
        strategy=spec.placement,
    )


class Waiter(NamedTuple):
    """One instance that waits. Sorts in slot order."""

    slot: int
    generation: int
    instance: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Instances of one version of one workload, all due, that may go to any node that has what they need."""

    workload: str
    """Id of the agent or job."""
    version: int
    need: Requirements
    waiters: Sequence[Waiter]
    """In slot order; the first of `total`."""
    total: int
    avoid: tuple[str, ...] = ()
    """Node ids: taken only if nothing else fits."""
    only: tuple[str, ...] = ()
    """Node ids: no other is taken; empty: any is."""
    together: str = ""
    """All with the same word here go to one node: of `only`, or where that is empty the first one's."""
    since_ms: int = 0
    """Since when the first of them waits."""
