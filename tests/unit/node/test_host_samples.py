"""What the kernel says, as samples: kept texts of real machines, and this machine itself."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from omnitide.node.metrics import proc_files as pf
from omnitide.node.metrics.gpu import GpuSampler
from omnitide.node.metrics.host import HostSampler

STAT = b"""cpu  5893060 865471 662892 1910644 37981 0 19863 79508 0 0
cpu0 2889706 426081 320905 1043100 10638 0 4402 38351 0 0
intr 1 2
"""
MEMINFO = b"""MemTotal:       24684092 kB
MemFree:        14406932 kB
MemAvailable:   22666692 kB
SwapTotal:       2097148 kB
SwapFree:        2000000 kB
HugePages_Total:       0
"""
NET = b"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 21805219804 11406441    0    0    0     0          0         0 21805219804 11406441    0    0    0     0       0          0
  eth0: 7150158285 1000    3    0    0     0          0         0 11825528 2000    4    0    0     0       0          0
veth1a2b: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
"""  # noqa: E501 (as the kernel writes it)
DISKS = b"""   7       0 loop0 8209 187 131608 1563 169208 245868 9884688 121137 0 96304 200097 0 0 0 0 102599 77396
 254       0 vda 50000 100 35205000 4000 900000 50 197400000 5000 0 1042748 9000 0 0 0 0 0 0
 254       1 vda1 1 1 1 1 1 1 1 1 0 1 1 0 0 0 0 0 0
 259       0 nvme0n1 10 0 16 1 20 0 32 2 0 7 3
 259       1 nvme0n1p1 10 0 16 1 20 0 32 2 0 7 3
"""
PRESSURE = b"""some avg10=97.69 avg60=94.74 avg300=67.71 total=23550525683
full avg10=0.00 avg60=0.00 avg300=0.00 total=12
"""
PRESSURE_OLD = b"some avg10=97.69 avg60=94.74 avg300=67.71 total=23550525683\n"


def test_processors() -> None:
    found = pf.cpu_ticks(STAT)
    assert (found["user"], found["nice"], found["idle"], found["steal"]) == (5893060, 865471, 1910644, 79508)
    assert pf.cpu_ticks(b"") == {}


def test_memory_is_in_bytes_and_what_has_no_unit_as_it_is() -> None:
    found = pf.memory_bytes(MEMINFO)
    assert found["MemTotal"] == 24684092 << 10
    assert found["HugePages_Total"] == 0


def test_networks_and_disks() -> None:
    assert pf.network_counters(NET)["eth0"] == (7150158285, 11825528, 3, 4)
    disks = pf.disk_counters(DISKS)
    assert disks["vda"] == (35205000 * 512, 197400000 * 512, 50000, 900000, 1042748)
    assert disks["nvme0n1"].busy_ms == 7, "an old kernel has fewer columns"


def test_pressure_and_load() -> None:
    assert pf.pressure_us(PRESSURE) == {"some": 23550525683, "full": 12}
    assert pf.pressure_us(PRESSURE_OLD) == {"some": 23550525683}
    assert pf.load_hundredths(b"4.32 3.18 12.01 2/300 4711\n") == (432, 318, 1201)
    assert pf.load_hundredths(b"?") == ()


def sampled(root: Path, **files: bytes) -> dict[str, int]:
    """By name and labels, of a machine with these files."""
    for name, text in files.items():
        file = root / "proc" / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)
    host = HostSampler(str(root), str(root))
    found = {
        f"{series.name.removeprefix('omnitide_node_')}{''.join(f' {value}' for _, value in series.labels)}": value
        for series, value in host.sample()
    }
    host.close()
    return found


def test_a_machine_is_sampled_with_its_devices_and_without_what_is_none(tmp_path: Path) -> None:
    found = sampled(
        tmp_path,
        stat=STAT,
        meminfo=MEMINFO,
        net__dev=NET,
        diskstats=DISKS,
        pressure__cpu=PRESSURE,
        pressure__io=PRESSURE,
    )
    ticks = 100 // os.sysconf("SC_CLK_TCK")
    assert found["cpu_used_seconds_total"] == (5893060 + 865471 + 662892 + 19863 + 79508) * ticks
    assert found["memory_used_bytes"] == (24684092 - 22666692) << 10
    assert found["swap_used_bytes"] == (2097148 - 2000000) << 10
    assert found["network_receive_bytes_total eth0"] == 7150158285
    assert found["network_errors_total eth0"] == 7
    assert {name.split()[1] for name in found if name.startswith("disk_")} == {"vda", "nvme0n1"}
    assert {name.split()[1] for name in found if name.startswith("network_")} == {"eth0"}
    assert found["pressure_cpu_waiting_seconds_total"] == 23550525683
    assert found["pressure_io_stalled_seconds_total"] == 12
    assert "pressure_cpu_stalled_seconds_total" not in found, "of a whole machine it says nothing"


def test_a_file_that_is_not_there_or_is_something_else_costs_its_own_samples_alone(tmp_path: Path) -> None:
    found = sampled(tmp_path, stat=STAT, meminfo=b"MemTotal: x kB\n", net__dev=b"a\nb\nc: d\n", diskstats=b"a b c\n")
    assert set(found) >= {"cpu_used_seconds_total", "instances", "filesystem_size_bytes"}
    assert not [name for name in found if name.startswith(("memory", "network", "disk", "pressure", "load"))]


def test_this_machine_is_sampled_in_less_than_a_hundredth_of_a_core() -> None:
    host = HostSampler("/tmp")
    host.sample()
    began = time.process_time()
    for _ in range(50):
        found = host.sample()
    each = (time.process_time() - began) / 50
    host.close()
    assert len(found) > 15
    assert each < 0.01, "once a second"


class Nvml:
    """What is used of NVIDIA's library, of a machine with two processors, one of which cannot tell what it draws."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    class Rates(NamedTuple):
        gpu: int

    class Memory(NamedTuple):
        used: int
        total: int

    def nvmlInit(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Rates:
        return self.Rates(37 + handle)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Memory:
        return self.Memory(1 << 30, 8 << 30)

    def nvmlDeviceGetTemperature(self, handle: int, _: int) -> int:
        return 61

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        if handle:
            raise self.NVMLError("Not Supported")
        return 71_500


def test_graphics_processors_are_sampled_by_what_each_can_tell() -> None:
    found = {(series.name, series.labels, series.exponent): value for series, value in GpuSampler(Nvml()).sample()}
    assert found[("omnitide_node_gpu_utilization_ratio", (("gpu", "1"),), -2)] == 38
    assert found[("omnitide_node_gpu_power_watts", (("gpu", "0"),), -3)] == 71_500
    assert len(found) == 9


@pytest.mark.parametrize("why", ["not installed", "no driver", "no device"])
def test_a_machine_without_any_has_no_such_samples(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoDriver(Nvml):
        def nvmlInit(self) -> None:
            raise self.NVMLError("Driver Not Loaded")

    monkeypatch.setattr("omnitide.node.metrics.gpu.MODULE", "no_such_module")
    if why == "not installed":
        monkeypatch.setattr("omnitide.node.metrics.gpu.DEVICES", ("/dev/null",))
    sampler = GpuSampler(NoDriver() if why == "no driver" else None)
    assert sampler.sample() == []
    assert sampler.sample() == []
