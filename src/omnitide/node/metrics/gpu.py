"""What NVIDIA's processors here do, by NVML: where its library is installed (extra `gpu`) and finds a driver."""

import importlib
import os
from typing import Any, Final

from omnitide.node.metrics.host import Sample
from omnitide.telemetry import logs
from omnitide.telemetry.series.definition import Series

MODULE: Final = "pynvml"
DEVICES: Final = ("/dev/nvidiactl", "/dev/dxg")
"""Of NVIDIA's driver, and of Windows below Linux."""
_PREFIX: Final = "omnitide_node_gpu_"

log = logs.get(__name__)


class GpuSampler:
    """Looks once whether there is anything; a machine without costs nothing afterwards."""

    def __init__(self, library: Any = None) -> None:
        """`library`: NVML's binding; `Any`: it has no types. None: as installed."""
        self._library = library
        self._handles: list[Any] | None = None
        self._series: dict[tuple[int, str], Series] = {}

    def sample(self) -> list[Sample]:
        if self._handles is None:
            self._handles = self._begin()
        found: list[Sample] = []
        for index, handle in enumerate(self._handles):
            found += self._of(index, handle)
        return found

    def _begin(self) -> list[Any]:
        if self._library is None:
            if not any(map(os.path.exists, DEVICES)):
                return []  # the library would take some MiB to say so
            try:
                self._library = importlib.import_module(MODULE)
            except ImportError:
                return []
        try:
            self._library.nvmlInit()
            number = int(self._library.nvmlDeviceGetCount())
            return [self._library.nvmlDeviceGetHandleByIndex(index) for index in range(number)]
        except self._library.NVMLError as error:
            log.info("no GPU is sampled", error=str(error))
            return []

    def _of(self, index: int, handle: Any) -> list[Sample]:
        nvml = self._library
        found: list[Sample] = []
        # Each by itself: a processor may not have all of them.
        for ask in (self._use, self._memory, self._temperature, self._power):
            try:
                found += ask(nvml, index, handle)
            except nvml.NVMLError:
                continue
        return found

    def _use(self, nvml: Any, index: int, handle: Any) -> list[Sample]:
        busy = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        return [(self._named(index, "utilization_ratio", "Share of time in which it was busy.", "ratio", -2), busy)]

    def _memory(self, nvml: Any, index: int, handle: Any) -> list[Sample]:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return [
            (self._named(index, "memory_used_bytes", "Its memory in use.", "bytes"), int(memory.used)),
            (self._named(index, "memory_total_bytes", "Its memory.", "bytes"), int(memory.total)),
        ]

    def _temperature(self, nvml: Any, index: int, handle: Any) -> list[Sample]:
        degrees = int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        return [(self._named(index, "temperature_celsius", "Its temperature.", "celsius"), degrees)]

    def _power(self, nvml: Any, index: int, handle: Any) -> list[Sample]:
        milliwatts = int(nvml.nvmlDeviceGetPowerUsage(handle))
        return [(self._named(index, "power_watts", "What it draws.", "watts", -3), milliwatts)]

    def _named(self, index: int, name: str, text: str, unit: str, exponent: int = 0) -> Series:
        series = self._series.get((index, name))
        if series is None:
            series = Series(_PREFIX + name, (("gpu", str(index)),), "gauge", unit, text, exponent)
            self._series[(index, name)] = series
        return series
