"""What happens in a demo, and when: releases, drains, power, links, jobs. Pure: the same seed tells the same story."""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from omnitide.demo.chance import between, draw, pick, waiting
from omnitide.demo.machines import Machine
from omnitide.demo.workloads import CRONS, Workload
from omnitide.demo.world import START_HOUR, busy

What = Literal["release", "bad-release", "scale", "drain", "reopen", "power-off", "power-on", "flap", "job"]

SCALE_H: Final = 0.25
_EVERY_H: Final[dict[What, tuple[float, float]]] = {
    # Until the first, and between two on average.
    "release": (0.15, 0.7),
    "bad-release": (0.5, 3.0),
    "drain": (0.7, 1.5),
    "power-off": (0.35, 1.2),
    "flap": (0.25, 0.8),
}
BAD: Final = ("crash-loop", "unready", "out-of-memory")


class Happening(NamedTuple):
    hour: float
    """Since midnight of the first day."""
    what: What
    subject: str
    """A machine; an agent or a job as `namespace/name`; nothing where all agents are scaled."""
    value: str = ""
    """Number of a release, what is wrong with it, seconds of a link."""


def plot(seed: int, machines: Sequence[Machine], workloads: Sequence[Workload]) -> Iterator[Happening]:
    """In order of time, for ever."""
    scaling = [one for one in workloads if one.scales]
    links = [one for one in machines if one.kind.link in ("lte", "wifi")] or list(machines)
    streams: list[Iterator[Happening]] = [
        _scale(),
        *(_jobs(number, seed) for number in range(len(CRONS))),
        _machines(seed, "drain", "reopen", machines, (0.3, 0.8)),
        _machines(seed, "power-off", "power-on", machines, (0.5, 1.5)),
        _flaps(seed, links),
    ]
    if scaling:
        streams += [_releases(seed, scaling), _bad_releases(seed, scaling)]
    yield from heapq.merge(*streams)


def replicas_at(workload: Workload, hour: float) -> int:
    """So many of an agent that follows its load: between three and six fifths of what it has on average."""
    share = 0.6 + 0.6 * min(1.0, busy(workload.shape.curve, hour))
    return max(1, round(workload.replicas * share))


def _times(seed: int, what: What) -> Iterator[tuple[int, float]]:
    first, mean = _EVERY_H[what]
    hour = START_HOUR + first
    for number in itertools.count():
        yield number, hour
        hour += max(mean / 6, waiting(mean, seed, what, number))


def _key(workload: Workload) -> str:
    return f"{workload.namespace}/{workload.name}"


def _scale() -> Iterator[Happening]:
    for number in itertools.count(1):
        yield Happening(START_HOUR + SCALE_H * number, "scale", "")


def _releases(seed: int, workloads: Sequence[Workload]) -> Iterator[Happening]:
    released: dict[str, int] = {}
    for number, hour in _times(seed, "release"):
        subject = _key(pick(workloads, seed, "released", number))
        released[subject] = released.get(subject, 0) + 1
        yield Happening(hour, "release", subject, str(released[subject]))


def _bad_releases(seed: int, workloads: Sequence[Workload]) -> Iterator[Happening]:
    for number, hour in _times(seed, "bad-release"):
        subject = _key(pick(workloads, seed, "badly", number))
        # What runs out of memory does so after it was ready: that is no failed rollout, but restarts for a while.
        yield Happening(hour, "bad-release", subject, BAD[0] if number == 0 else pick(BAD, seed, "bad", number))


def _machines(
    seed: int, begin: What, end: What, machines: Sequence[Machine], lasts_h: tuple[float, float]
) -> Iterator[Happening]:
    ends: list[Happening] = []
    for number, hour in _times(seed, begin):
        while ends and ends[0].hour <= hour:
            yield heapq.heappop(ends)
        machine = pick(machines, seed, begin, "which", number).name
        if any(one.subject == machine for one in ends):
            continue
        yield Happening(hour, begin, machine)
        heapq.heappush(ends, Happening(hour + between(*lasts_h, seed, begin, "lasts", number), end, machine))


def _flaps(seed: int, machines: Sequence[Machine]) -> Iterator[Happening]:
    for number, hour in _times(seed, "flap"):
        machine = pick(machines, seed, "flapping", number).name
        at = hour
        # A link that begins to fail does so a few times in a row.
        for again in range(1 + int(draw(seed, "again", number) * 4)):
            yield Happening(at, "flap", machine, f"{between(0.4, 4, seed, 'away', number, again):.1f}")
            at += 0.03


def _jobs(cron: int, seed: int) -> Iterator[Happening]:
    job = CRONS[cron]
    first = between(0.05, min(1.0, job.every_h), seed, "first", job.name)
    for number in itertools.count():
        yield Happening(START_HOUR + first + number * job.every_h, "job", f"{job.namespace}/{job.name}-{number + 1}")
