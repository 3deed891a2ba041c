"""The host under a simulated node: what it is, and how busy: what its instances use, and a little for itself."""

from collections.abc import Sequence
from typing import Final

from omnitide.demo.chance import draw
from omnitide.demo.machines import GIB, Machine, own_load, own_memory
from omnitide.demo.runs import Runs
from omnitide.demo.world import ripple
from omnitide.drivers.protocol import PortBinding
from omnitide.node.facts import Facts, HostUse
from omnitide.telemetry.series.definition import Kind, Series

Sample = tuple[Series, int]
PORTS: Final = (20_000, 20_999)


def _series(name: str, text: str, unit: str = "", exponent: int = 0, kind: Kind = "gauge", **labels: str) -> Series:
    return Series(f"omnitide_node_{name}", tuple(sorted(labels.items())), kind, unit, text, exponent)


def _mode(mode: str) -> Series:
    text = "Time of all processors together, by what they did."
    return _series("cpu_seconds_total", text, "seconds", -2, "counter", mode=mode)


# As `metrics.host` names them, which reads them from a kernel.
_CPU: Final = _series(
    "cpu_used_seconds_total",
    "Time that the processors were in use, of all together: its rate is processors in use.",
    "seconds",
    -2,
    "counter",
)
_USER, _SYSTEM, _WAIT = _mode("user"), _mode("system"), _mode("iowait")
_MEMORY: Final = _series("memory_total_bytes", "Memory of the machine.", "bytes")
_AVAILABLE: Final = _series("memory_available_bytes", "Memory that programs could still have.", "bytes")
_USED: Final = _series("memory_used_bytes", "Memory in use: all but what is available.", "bytes")
_LOADS: Final = tuple(_series(f"load{minutes}", f"Load average of {minutes} min.", "", -2) for minutes in (1, 5, 15))
_RECEIVED: Final = _series(
    "network_receive_bytes_total", "Bytes that came over the network.", "bytes", 0, "counter", device="eth0"
)
_SENT: Final = _series(
    "network_transmit_bytes_total", "Bytes that went out over the network.", "bytes", 0, "counter", device="eth0"
)
_READ: Final = _series("disk_read_bytes_total", "Bytes read from disks.", "bytes", 0, "counter", device="nvme0n1")
_WRITTEN: Final = _series(
    "disk_written_bytes_total", "Bytes written to disks.", "bytes", 0, "counter", device="nvme0n1"
)
_PRESSURE: Final = _series(
    "pressure_cpu_waiting_seconds_total",
    "Time in which something that could run was held up for want of it.",
    "seconds",
    -6,
    "counter",
)
_SIZE: Final = _series("filesystem_size_bytes", "Size of the disk that Omnitide's data is on.", "bytes")
_FREE: Final = _series("filesystem_available_bytes", "Room on that disk for who is not root.", "bytes")
_FULL: Final = _series("filesystem_used_bytes", "What is used of that disk.", "bytes")
_INSTANCES: Final = _series("instances", "Instances that run on the node.")
_GPU: Final = _series("gpu_utilization_ratio", "Share of time in which it was busy.", "ratio", -2, gpu="0")
_GPU_HEAT: Final = _series("gpu_temperature_celsius", "Its temperature.", "celsius", gpu="0")
_MAX_STEP_MS: Final = 5_000
SLOW_H: Final = 0.05
"""What changes with the time of day is looked at so often."""


class SimulatedHost:
    """A `facts.Host`, and what `Sampling` samples."""

    def __init__(self, machine: Machine, runs: Runs) -> None:
        self._machine = machine
        self._runs = runs
        seed = runs.world.seed
        self._phase = draw(seed, "host", machine.name)
        self._own_memory = own_memory(machine, seed)
        self._own_load = 0.0
        self._looked_hour = -1.0
        self._facts = Facts(
            name=machine.name,
            labels=machine.labels,
            cpu_milli=machine.cpu_milli,
            memory_bytes=machine.memory_bytes,
            disk_bytes=machine.disk_bytes,
            port_first=PORTS[0],
            port_last=PORTS[1],
            address=machine.address,
            platform={
                "os": machine.kind.os,
                "arch": machine.kind.arch,
                "host": machine.name,
                "distribution": machine.kind.system,
                "cpu_model": machine.kind.model,
                "cpus": str(machine.kind.cores),
                "simulated": "yes",
            },
            devices=("none",),
        )
        self._at_ms = 0
        self._cpu_milli = 0
        self._memory = 0
        self._running = 0
        self._totals = [0.0] * 8
        """Of the counters, in the order in which they are told."""

    def facts(self) -> Facts:
        return self._facts

    def use(self) -> HostUse:
        self._look()
        return HostUse(
            cpu_milli_used=self._cpu_milli,
            memory_used_bytes=self._memory,
            disk_used_bytes=self._disk_used(),
            network_received_bytes=int(self._totals[4]),
            network_sent_bytes=int(self._totals[5]),
            load_milli=self._cpu_milli,
        )

    def busy_port(self, ports: Sequence[PortBinding]) -> int | None:
        del ports
        return None

    def sample(self) -> list[Sample]:
        self._look()
        cpu, user, system, waited, received, sent, read, written = map(int, self._totals)
        load = self._cpu_milli // 10
        free = self._machine.disk_bytes - self._disk_used()
        found = [
            (_CPU, cpu),
            (_USER, user),
            (_SYSTEM, system),
            (_WAIT, waited),
            (_MEMORY, self._machine.memory_bytes),
            (_AVAILABLE, self._machine.memory_bytes - self._memory),
            (_USED, self._memory),
            (_LOADS[0], load),
            (_LOADS[1], int(load * 0.95)),
            (_LOADS[2], int(load * 0.9)),
            (_RECEIVED, received),
            (_SENT, sent),
            (_READ, read),
            (_WRITTEN, written),
            (_PRESSURE, waited * 8000),
            (_SIZE, self._machine.disk_bytes),
            (_FREE, free),
            (_FULL, self._machine.disk_bytes - free),
            (_INSTANCES, self._running),
        ]
        if self._machine.kind.gpu:
            share = min(100, self._cpu_milli * 100 // self._machine.cpu_milli * 2)
            found += [(_GPU, share), (_GPU_HEAT, 34 + share // 2)]
        return found

    def close(self) -> None:
        pass

    def _disk_used(self) -> int:
        return min(self._machine.disk_bytes, 4 * GIB + len(self._runs.images) * (GIB >> 2) + int(self._totals[7]) // 50)

    def _look(self) -> None:
        """What is used now; the counters go on by what that makes since the last look, of which a long one is as short
        ones: a machine without power counts nothing."""
        now = self._runs.now_ms()
        passed = min(now - self._at_ms, _MAX_STEP_MS)
        if passed < 100 and self._at_ms:
            return
        self._at_ms = now
        hour = self._runs.world.hour(now)
        if abs(hour - self._looked_hour) > SLOW_H:
            self._looked_hour = hour
            self._own_load = own_load(self._machine, self._runs.world.seed, hour)
        milli, memory, running = self._machine.cpu_milli * self._own_load * ripple(self._phase, hour), 0, 0
        for entry in self._runs.live():
            self._runs.look(entry)
            milli += entry.rate
            memory += entry.memory
            running += 1
        self._running = running
        self._cpu_milli = min(self._machine.cpu_milli, int(milli))
        own = int(self._machine.memory_bytes * self._own_memory * (0.9 + 0.1 * ripple(self._phase, hour)))
        self._memory = min(self._machine.memory_bytes, own + memory)
        ticks = self._cpu_milli * passed / 10_000
        traffic = (20_000 + running * 40_000 + self._cpu_milli * 120) * passed / 1000
        for index, step in enumerate(
            (ticks, ticks * 0.8, ticks * 0.2, ticks * 0.03, traffic, traffic * 1.6, traffic * 0.2, traffic * 0.5)
        ):
            self._totals[index] += step
