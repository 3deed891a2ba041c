"""What the keeper costs: starts against posix_spawn, memory, log throughput.

    python -m bench.process_start [--cgroup auto|off] [--starts 100] [--sleepers 200] [--megabytes 500]
        [--directory DIR]

Three baselines, all in this process, without another one to talk to. *Bare* is posix_spawn and wait, and no more. The
*careful* one does what any supervisor has to do for a process: a session of its own, input from /dev/null, output to a
file of its own that it makes; nothing is recorded, no directory is made, no limit is possible, and what the process
leaves behind is not found. The *placed* one, where control groups can be made, is that with a private directory and a
control group, made and entered before and removed after. The driver's start does all of that, records start and end on
disk, and tells each in another process. Rounds of all of them alternate, as other work on the machine slows what
happens at the same time; the best round says what the work costs, the median what this machine made of it. Starts far
apart are another matter than one of many: the kernel lets the first move between control groups in a while wait.
On a busy machine root reads them with `chrt -f 1` before the command, which lets nothing else run for some seconds.

Compile first (`python -m compileall src bench`): the keeper reads its program when it starts.
Prints one table with the machine it was read on.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench._targets import Targets, add_report_only

from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import Launch, LogPolicy, RunKey, RunState
from omnitide.node.keeper import cgroup_files
from omnitide.node.keeper.cgroup import Cgroups
from omnitide.node.keeper.cgroup_mounts import discover_here
from omnitide.node.keeper.launch import Talk, ensure_keeper, stop_keeper
from omnitide.node.keeper.spec import Limits

TRUE = "/bin/true"
ROUNDS = 10
TARGET_RATIO, TARGET_STARTS, TARGET_MB_S = 1.3, 100, 50.0
APART = 20
APART_S = 0.1


def bare_sequential(count: int) -> float:
    """Seconds for so many posix_spawn and wait, one after the other."""
    begin = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn(TRUE, [TRUE], {}), 0)
    return time.perf_counter() - begin


def bare_concurrent(count: int) -> float:
    """Seconds to spawn so many and then wait for all."""
    begin = time.perf_counter()
    pids = [os.posix_spawn(TRUE, [TRUE], {}) for _ in range(count)]
    for pid in pids:
        os.waitpid(pid, 0)
    return time.perf_counter() - begin


def careful(folder: str, number: int) -> int:
    """The pid of a process as a careful supervisor starts it."""
    log = f"{folder}/{number}.log"
    files = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(TRUE, [TRUE], {}, file_actions=files, setsid=True)


def careful_sequential(count: int, folder: str) -> float:
    begin = time.perf_counter()
    for number in range(count):
        os.waitpid(careful(folder, number), 0)
    return time.perf_counter() - begin


def careful_concurrent(count: int, folder: str) -> float:
    begin = time.perf_counter()
    pids = [careful(folder, number) for number in range(count)]
    for pid in pids:
        os.waitpid(pid, 0)
    return time.perf_counter() - begin


def placed(cgroups: Cgroups, folder: str, number: int) -> tuple[int, cgroup_files.Groups]:
    """As `careful`, in a control group, with a private directory: the process and its groups."""
    os.mkdir(f"{folder}/{number}", 0o700)
    groups = cgroups.create(str(number), Limits())
    for key, group in groups.items():
        fd = cgroup_files.open_to_enter(key, group)
        os.write(fd, b"0")
        os.close(fd)
    pid = careful(folder, number)
    cgroups.go_home()
    return pid, groups


def placed_sequential(cgroups: Cgroups, count: int, folder: str) -> float:
    begin = time.perf_counter()
    for number in range(count):
        pid, groups = placed(cgroups, folder, number)
        os.waitpid(pid, 0)
        cgroup_files.remove(groups)
    return time.perf_counter() - begin


def placed_concurrent(cgroups: Cgroups, count: int, folder: str) -> float:
    begin = time.perf_counter()
    for pid, groups in [placed(cgroups, folder, number) for number in range(count)]:
        os.waitpid(pid, 0)
        cgroup_files.remove(groups)
    return time.perf_counter() - begin


def launch(instance: str, command: Sequence[str], log: LogPolicy | None = None) -> Launch:
    policy = log or LogPolicy()
    return Launch(key=RunKey(instance, 1), name=instance, command=command, environment={}, log_policy=policy)


class Endings:
    """Collects the ends of runs from one watch."""

    def __init__(self, driver: ProcessDriver) -> None:
        self._seen: dict[str, asyncio.Event] = {}
        self._task = asyncio.create_task(self._read(driver))

    async def _read(self, driver: ProcessDriver) -> None:
        async for run in driver.watch():
            if run.state is RunState.EXITED:
                self.event(run.key.instance).set()

    def event(self, instance: str) -> asyncio.Event:
        return self._seen.setdefault(instance, asyncio.Event())

    def stop(self) -> None:
        self._task.cancel()


async def driver_starts(driver: ProcessDriver, prefix: str, count: int, *, together: bool) -> float:
    """Seconds from the first start to the last exit event; the runs are removed afterwards."""
    endings = Endings(driver)
    names = [f"{prefix}-{number}" for number in range(count)]
    await driver.probe()

    async def one(name: str) -> None:
        await driver.start(launch(name, [TRUE]))
        await endings.event(name).wait()

    begin = time.perf_counter()
    if together:
        await asyncio.gather(*(one(name) for name in names))
    else:
        for name in names:
            await one(name)
    took = time.perf_counter() - begin
    endings.stop()
    for name in names:
        await driver.remove_instance(name)
    return took


async def starts_apart(driver: ProcessDriver) -> list[float]:
    """Seconds from start to exit event of starts that have nothing to do with each other."""
    endings = Endings(driver)
    await driver.probe()
    took: list[float] = []
    for name in (f"apart-{number}" for number in range(APART)):
        await asyncio.sleep(APART_S)
        begin = time.perf_counter()
        await driver.start(launch(name, [TRUE]))
        await endings.event(name).wait()
        took.append(time.perf_counter() - begin)
        await driver.remove_instance(name)
    endings.stop()
    return took


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def memory(driver: ProcessDriver, pid: int, sleepers: int) -> tuple[int, int]:
    before = resident_kib(pid)
    names = [f"sleeper-{number}" for number in range(sleepers)]
    await asyncio.gather(*(driver.start(launch(name, ["/bin/sleep", "1000"])) for name in names))
    after = resident_kib(pid)
    endings = Endings(driver)
    for name in names:
        await driver.stop(RunKey(name, 1), grace_ms=0)
    for name in names:
        await endings.event(name).wait()
        await driver.remove_instance(name)
    endings.stop()
    return before, after


async def throughput(driver: ProcessDriver, pid: int, megabytes: int, block: str) -> tuple[float, float]:
    """Megabytes a second through the keeper into log files, and the share of a core that the keeper took."""
    endings = Endings(driver)
    command = ["dd", "if=/dev/zero", f"bs={block}", f"count={megabytes}M", "iflag=count_bytes", "status=none"]
    cpu, begin = cpu_seconds(pid), time.perf_counter()
    await driver.start(launch("flood", command, LogPolicy(max_file_bytes=16 << 20, max_files=2)))
    await endings.event("flood").wait()
    took = time.perf_counter() - begin
    used = cpu_seconds(pid) - cpu
    endings.stop()
    await driver.remove_instance("flood")
    return megabytes / took, used / took


def show(what: str, value: str) -> None:
    print(f"  {what:<58}{value}")


def spread(values: list[float], count: int) -> str:
    each = [value / count * 1e3 for value in values]
    return f"{statistics.median(each):.2f} ms each (best {min(each):.2f})"


def ratio(ours: list[float], theirs: list[float]) -> str:
    middle = statistics.median(ours) / statistics.median(theirs)
    return f"{middle:.2f} (best to best {min(ours) / min(theirs):.2f})"


def within(measured: Callable[[int, str], float], count: int, directory: str | None) -> float:
    """What a baseline takes in a folder that is made before and removed afterwards."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        return measured(count, folder)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cgroup", default="auto", choices=("auto", "off"))
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--sleepers", type=int, default=200)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--directory", help="where logs and directories are made (default: the temporary one)")
    add_report_only(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        ensure_keeper(directory, cgroup=options.cgroup)
        try:
            targets = await measure(directory, options)
        finally:
            stop_keeper(directory, stop_runs=True, grace_ms=0)
    return targets.end(options.report_only)


async def run_rounds(driver: ProcessDriver, options: argparse.Namespace, *, placing: bool) -> dict[str, list[float]]:
    """Seconds that each way of starting took in each round: `bare 1` one after the other, `bare n` all at once."""
    count: int = options.starts
    took: dict[str, list[float]] = {}

    def note(name: str, seconds: float) -> None:
        took.setdefault(name, []).append(seconds)

    cgroups = Cgroups(discover_here(), f"bench-{os.getpid()}") if placing else None
    try:
        for number in range(ROUNDS):
            note("bare 1", bare_sequential(count))
            note("careful 1", within(careful_sequential, count, options.directory))
            if cgroups:
                note("placed 1", within(partial(placed_sequential, cgroups), count, options.directory))
            note("ours 1", await driver_starts(driver, f"one-{number}", count, together=False))
            note("bare n", bare_concurrent(count))
            note("careful n", within(careful_concurrent, count, options.directory))
            if cgroups:
                note("placed n", within(partial(placed_concurrent, cgroups), count, options.directory))
            note("ours n", await driver_starts(driver, f"all-{number}", count, together=True))
    finally:
        if cgroups:
            cgroups.leave()
    return took


async def measure(directory: str, options: argparse.Namespace) -> Targets:
    targets = Targets()
    with Talk(directory) as talk:
        pid = talk.about["pid"]
        assert isinstance(pid, int)
        tracks = talk.ask("info")["tracks"]
    driver = ProcessDriver(directory, cgroup=options.cgroup)
    count: int = options.starts
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"
    print(f"{machine}, Python {platform.python_version()}")
    print(f"{count} starts of {TRUE}, control groups {'in use' if tracks else 'not in use'}, {ROUNDS} rounds")
    rounds = await run_rounds(driver, options, placing=bool(tracks))
    others = [who for who in ("bare", "careful", "placed") if f"{who} 1" in rounds]
    for who in others:
        show(f"{who}, one after the other", spread(rounds[f"{who} 1"], count))
    show("driver: start to exit event, one after the other", spread(rounds["ours 1"], count))
    for who in others:
        show(f"{who}, all at once", spread(rounds[f"{who} n"], count))
    show("driver: start all, to the last exit event", spread(rounds["ours n"], count))
    for who in others:
        show(f"driver to {who}, one after the other", ratio(rounds["ours 1"], rounds[f"{who} 1"]))
        show(f"driver to {who}, all at once", ratio(rounds["ours n"], rounds[f"{who} n"]))
    if count <= TARGET_STARTS:
        middle = statistics.median(rounds["ours n"]) / statistics.median(rounds["bare n"])
        targets.most(f"{count} starts at once, to bare ones", middle, TARGET_RATIO, "times")
    show("driver all at once to bare one after the other", ratio(rounds["ours n"], rounds["bare 1"]))
    show(
        f"driver: start to exit event, each {APART_S * 1e3:.0f} ms after the last",
        spread(await starts_apart(driver), 1),
    )
    before, after = await memory(driver, pid, options.sleepers)
    show("keeper resident, no run", f"{before / 1024:.1f} MiB")
    show(f"keeper resident, {options.sleepers} runs", f"{after / 1024:.1f} MiB")
    for block in ("64k", "4k"):
        rate, share = await throughput(driver, pid, options.megabytes, block)
        show(f"log throughput, written in blocks of {block}", f"{rate:.0f} MB/s, keeper at {share:.0%} of a core")
        targets.above(f"log throughput, blocks of {block}", rate, TARGET_MB_S, "MB/s")
    await driver.close()
    return targets


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
