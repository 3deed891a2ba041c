"""How an attempt of a simulated instance fares: when it starts, is ready, and how it ends. Pure, of seed and names."""

import math
from functools import lru_cache
from typing import Final, Literal, NamedTuple, cast

from omnitide.demo.chance import between, draw, pick, waiting
from omnitide.demo.workloads import CRONS, FATE, MAX_AGENTS, PLAIN, RELEASE, Shape, workloads
from omnitide.demo.world import World, busy, ripple
from omnitide.drivers.protocol import Exit, Launch

Wish = Literal["", "crash-loop", "out-of-memory", "unready"]
WISHES: Final = frozenset({"", "crash-loop", "out-of-memory", "unready"})

_SHAPES: Final = {(one.namespace, one.name): one.shape for one in workloads(MAX_AGENTS, 0)}
_CRONS: Final = {(cron.namespace, cron.name): cron for cron in CRONS}
UNWELL_H: Final = 0.2
"""An instance that is well for so long is so for all of it, or for none."""
UNWELL_SHARE: Final = 0.002


class Being(NamedTuple):
    """What of a launch decides its life: its secrets and variables are not kept."""

    instance: str
    attempt: int
    name: str
    """`hello-2.1`."""
    namespace: str
    workload: str
    shape: Shape
    release: str
    wish: Wish
    memory: int
    """Bytes at which the kernel ends it."""
    job: bool = False


class Fate(NamedTuple):
    """Times of ours, in seconds."""

    starts_in: float
    ready_after: float
    """From its start; infinite: it never is."""
    ends_after: float
    """From its start; infinite: it goes on until it is stopped."""
    exit: Exit


def being_of(launch: Launch) -> Being:
    key = (launch.namespace, launch.workload)
    stem = (launch.namespace, launch.workload.rpartition("-")[0])
    shape = _SHAPES.get(key, PLAIN)
    wish = launch.environment.get(FATE, "")
    return Being(
        instance=launch.key.instance,
        attempt=launch.key.attempt,
        name=launch.name,
        namespace=launch.namespace,
        workload=launch.workload,
        shape=shape,
        release=launch.environment.get(RELEASE, ""),
        wish=cast("Wish", wish) if wish in WISHES else "",
        memory=launch.limits.memory_bytes or shape.memory,
        job=key not in _SHAPES and stem in _CRONS,
    )


def fate_of(being: Being, world: World) -> Fate:
    seed, shape = world.seed, being.shape
    words = (being.instance, being.attempt)
    starts_in = between(*shape.start_ms, seed, "start", *words) / 1000
    ready_after = between(*shape.ready_ms, seed, "ready", *words) / 1000
    if being.job:
        cron = _CRONS[being.namespace, being.workload.rpartition("-")[0]]
        takes = between(*cron.takes_s, seed, "takes", *words)
        failed = draw(seed, "fails", *words) < cron.fails
        return Fate(starts_in, 0.0, takes, _exit(1 if failed else 0, shape))
    if being.wish == "crash-loop":
        return Fate(starts_in, math.inf, between(0.3, 2.5, seed, "crash", *words), _exit(78, shape))
    if being.wish == "out-of-memory":
        return Fate(starts_in, ready_after, between(6, 25, seed, "oom", *words), _exit(137, shape))
    if being.wish == "unready":
        return Fate(starts_in, math.inf, math.inf, Exit(code=0))
    lasts = world.seconds(waiting(shape.mtbf_h, seed, "lasts", *words))
    return Fate(starts_in, ready_after, max(5.0, lasts), _exit(pick(shape.exits, seed, "exit", *words), shape))


def _exit(code: int, shape: Shape) -> Exit:
    if code == 137:
        message = "the kernel killed it for want of memory"
        return Exit(code=None, signal=9, reason="out-of-memory", message=message, out_of_memory=True)
    if code == 139:
        return Exit(code=None, signal=11, reason="signal")
    if shape.driver == "wasm" and code == 134:
        return Exit(code=134, reason="trap", message="wasm trap: out of bounds memory access")
    return Exit(code=code)


def stops_in(being: Being, seed: int) -> float:
    """Seconds from being asked to end to its end."""
    return between(0.05, 0.9, seed, "stop", being.instance, being.attempt)


def well(being: Being, fate: Fate, world: World, since_start_s: float, hour: float) -> bool:
    """What its probe says."""
    if since_start_s < fate.ready_after:
        return False
    return draw(world.seed, "unwell", being.instance, int(hour / UNWELL_H)) >= UNWELL_SHARE


@lru_cache(maxsize=50_000)
def _phase(seed: int, word: str, instance: str) -> float:
    return draw(seed, word, instance)


def cpu_milli(being: Being, world: World, hour: float) -> float:
    """Thousandths of a core that it uses."""
    phase = _phase(world.seed, "cpu", being.instance)
    if being.job:
        return being.shape.cpu * 3 * ripple(phase, hour)
    return being.shape.cpu * (0.05 + 0.85 * busy(being.shape.curve, hour)) * (0.75 + 0.5 * phase) * ripple(phase, hour)


def memory_bytes(being: Being, fate: Fate, world: World, since_start_s: float, hour: float) -> int:
    """Of which it uses more while there is more to do; and more and more, when that is how it ends."""
    phase = _phase(world.seed, "memory", being.instance)
    share = (0.45 + 0.2 * phase + 0.2 * busy(being.shape.curve, hour)) * min(1.0, 0.5 + since_start_s / 20)
    if fate.exit.out_of_memory and since_start_s > 0:
        share += (1 - share) * min(1.0, since_start_s / fate.ends_after) ** 2
    return int(being.memory * min(share, 1.0))


def pids(being: Being, seed: int) -> int:
    return 1 if being.shape.driver == "wasm" else 1 + int(_phase(seed, "pids", being.instance) * 24)
