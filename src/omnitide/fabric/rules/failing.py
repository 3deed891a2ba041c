"""What follows a failure: another generation, when and where, or none. Permanent causes end, transient ones back off.

A node says with an exit whether another try *there* can help. A permanent cause may be peculiar to one node (a user or
a program that others have), so that a few further generations are tried, at once and elsewhere; then it is taken to be
the spec's, and the slot or job has failed until somebody changes something.
"""

from typing import Final, NamedTuple

from omnitide.fabric.folds.availability import is_ready
from omnitide.fabric.folds.instances import ended_by_itself, spent_after
from omnitide.fabric.folds.workloads import newest_proven
from omnitide.fabric.rules.proving import runs_well
from omnitide.fabric.state import PORT_BUSY, Agent, ExitRecord, FabricState, Instance, InstanceStatus, Job, Phase, Slot
from omnitide.model.quantity import format_duration
from omnitide.model.spec import Restart, WorkloadSpec

PORT_TRIES: Final = 10
"""Generations in a row of a task that may end so."""
PERMANENT_TRIES: Final = 3
"""Generations in a row that may fail with a permanent cause, the first included."""
LEAST_HALTING_ENDS: Final = 3
MOST_HALTING_ENDS: Final = 10
MAX_AVOIDED: Final = 16
"""Nodes that a generation avoids for a fixed port that was taken there; the oldest is forgotten."""


def reschedule_delay(restart: Restart, failures: int) -> int:
    """Milliseconds before the generation after `failures` failed ones in a row: 0, backoff, 2 x backoff, ... capped."""
    if failures <= 0:
        return 0
    return min(restart.backoff_max, restart.backoff << min(failures - 1, 30))


def failed_permanently(instance: Instance) -> bool:
    """Failed, and another try on its node cannot help."""
    return instance.status is InstanceStatus.FAILED and instance.exit is not None and instance.exit.permanent


def permanent_failures_after(slot: Slot, before: Instance | None, version: int, reset_after_ms: int | None) -> int:
    """How many generations in a row have failed with a permanent cause when `version` follows `before` in a slot.

    A stable run of `reset_after_ms` starts the count anew (None: nothing does), and so does another version, any other
    end, or a stop that was asked for. One that was lost before it ran has proved nothing.
    """
    if before is None or before.version != version:
        return 0
    if before.status is InstanceStatus.LOST:
        return 0 if before.started_ms else slot.permanent_failures
    if not failed_permanently(before):
        return 0
    stable = reset_after_ms is not None and before.started_ms and before.since_ms - before.started_ms >= reset_after_ms
    return 1 if stable else slot.permanent_failures + 1


def gave_up(instance: Instance, slot: Slot, restart: Restart) -> bool:
    """Failed permanently, after as many tries as such a cause is given. The slot's current instance."""
    tries = permanent_failures_after(slot, instance, instance.version, restart.reset_after)
    return failed_permanently(instance) and tries >= PERMANENT_TRIES


def is_spent(instance: Instance, slot: Slot, restart: Restart) -> bool:
    """Failed, after as many generations as its spec allows. The slot's current instance."""
    if restart.reschedules is None or instance.status is not InstanceStatus.FAILED:
        return False
    return spent_after(slot, instance, instance.version, restart.reset_after) > restart.reschedules


def is_finished(instance: Instance, spec: WorkloadSpec, slot: Slot) -> bool:
    """Ended for good: it did what it was for, its policy forbids another try, or none can help. `slot`: its own."""
    if instance.status is InstanceStatus.SUCCEEDED:
        return spec.restart.policy != "always"
    if instance.status is not InstanceStatus.FAILED:
        return False
    restart = spec.restart
    return restart.policy == "never" or gave_up(instance, slot, restart) or is_spent(instance, slot, restart)


def may_retry(job: Job, exit_record: ExitRecord | None) -> bool:
    """Whether a task that failed so is tried again: a taken port always, else as often as policy and cause allow."""
    if exit_record is not None and exit_record.permanent and job.slot.permanent_failures + 1 >= PERMANENT_TRIES:
        return False
    if exit_record is not None and exit_record.cause == PORT_BUSY:
        return job.slot.failures < PORT_TRIES
    restart = job.spec.restart
    tries = restart.attempts if restart.reschedules is None else min(restart.attempts, restart.reschedules)
    return restart.policy != "never" and job.slot.failures < tries


class NextTry(NamedTuple):
    """When and where a generation after a failed one is placed."""

    not_before_ms: int = 0
    """Log time; 0: at once."""
    avoid: str = ""
    avoid_also: tuple[str, ...] = ()


def next_try(time_ms: int, spec: WorkloadSpec, failed: Instance, failures: int, permanent: int) -> NextTry:
    """What the generation after `failed` waits for, and the nodes that it avoids.

    After a taken port it is tried at once, and there too: with other ports it may well run. Where the spec fixes ports,
    elsewhere first; if it fits nowhere else, there again after its back-off, as nobody tells when a port is free. After
    a permanent cause at once and elsewhere: to wait cannot help, and there are only a few such tries, so that none is
    spent on a node that has shown already that it cannot. `permanent`: how many generations in a row have failed so by
    now.
    """
    restart, also = spec.restart, tuple[str, ...]()
    if failed.exit is not None and failed.exit.cause == PORT_BUSY:
        delay, avoid = reschedule_delay(restart, failures - 1), ""
        if any(port.port for port in spec.ports.values()):
            avoid = failed.node
            also = tuple(node for node in failed.avoids if node != avoid)[: MAX_AVOIDED - 1]
    elif failed_permanently(failed):
        before = failed.avoids if permanent > 1 else ()
        return NextTry(avoid=failed.node, avoid_also=tuple(node for node in before if node != failed.node))
    else:
        delay, avoid = reschedule_delay(restart, failures), failed.node
    return NextTry(time_ms + delay if delay else 0, avoid, also)


def try_again(before: Instance) -> NextTry:
    """The try of `before` once more, which was lost before it could prove anything."""
    return NextTry(avoid=before.avoid, avoid_also=before.avoid_also)


def ends_in_a_row(instance: Instance, reset_after_ms: int | None, now_ms: int) -> int:
    """Attempts in a row that ended by themselves, of an instance and of the generations of its slot before it.

    Grows with each such end, whichever generation it is of. A stable run of `reset_after_ms` starts the count anew
    (None: nothing does), and so does another version, or a stop that somebody asked for (see `ends_before`).
    """
    by_itself = ended_by_itself(instance)
    # Of one that is lost it is not known whether it runs on.
    until_ms = instance.since_ms if instance.status is InstanceStatus.LOST else now_ms
    ran_ms = until_ms - instance.started_ms if instance.phase is Phase.RUNNING else 0
    if reset_after_ms is not None and ran_ms > 0 and ran_ms >= reset_after_ms:
        return 0
    here = 0
    if instance.exit is not None:
        ended = max(instance.exit.attempt, instance.attempt - 1)
        here = max(0, ended - instance.asked_ends)
    return instance.ends_before + max(here, int(by_itself))


def ends_before(before: Instance | None, version: int, reset_after_ms: int | None, now_ms: int) -> int:
    """`ends_in_a_row` of the instance before a generation of `version`, as far as it still counts.

    That a node is lost or drained does not say that what ended on it will not do so elsewhere.
    """
    if before is None or before.version != version:
        return 0
    if before.status is InstanceStatus.STOPPED and before.stop_reason != "drain" and not ended_by_itself(before):
        return 0
    return ends_in_a_row(before, reset_after_ms, now_ms)


def halting_ends(restart: Restart) -> int:
    """So many ends in a row before it was ever available are taken for those of a version that cannot run: as many as
    the spec allows on one node, within reason."""
    return max(LEAST_HALTING_ENDS, min(restart.attempts + 1, MOST_HALTING_ENDS))


def stumbling(state: FabricState, agent: Agent) -> tuple[Instance, Slot] | None:
    """The replica that has stumbled (see `Version.stumbled`), as it is now."""
    slot = agent.slots.get(agent.stumbled) if agent.stumbled else None
    current = state.instances.get(slot.current) if slot is not None else None
    if slot is None or current is None or current.version != agent.version:
        return None  # it has made way for one of another version
    return current, slot


def late_one(state: FabricState, agent: Agent) -> Instance | None:
    """The replica that is not available in time (see `Version.late`), as it is now."""
    slot = agent.slots.get(agent.late) if agent.late else None
    return state.instances.get(slot.current) if slot is not None else None


def halted_by(state: FabricState, agent: Agent, *, besides: int = 0) -> Instance | None:
    """The replica of the new version that holds a rollout up: it failed, for good or again and again, or is late; None
    if none does. `besides`: a slot that does not count.

    A new version that cannot run must not take more of the old one with it. What has not been replaced stays, until
    the spec is changed, somebody asks for another try, or what ended again and again runs well.
    """
    if not agent.rollout_cursor:
        return None
    failed = (state.instances[identifier] for identifier in agent.failed)
    found = [one for one in failed if one.version == agent.version and one.slot != besides]
    stumbles = stumbling(state, agent)
    if not found and stumbles is not None and agent.stumbled != besides:
        return stumbles[0]
    late = late_one(state, agent)
    if not found and late is not None and agent.late != besides:
        return late
    return min(found, key=lambda one: one.slot, default=None)


def is_late(agent: Agent, instance: Instance) -> bool:
    """Whether what `halted_by` found holds the rollout up as it is not available, and not as it failed."""
    return instance.slot == agent.late and instance.slot != agent.stumbled and instance.id not in agent.failed


def why_halted(agent: Agent, instance: Instance) -> str:
    """What `halted_by` found, after its name: how it failed, without its last end."""
    slot = agent.slots.get(instance.slot)
    if instance.id in agent.failed or slot is None:
        return "has failed for good"
    if instance.version != agent.version and instance.slot == agent.late:
        return f"was moved in version {instance.version}, as version {agent.version} had not come up in its place"
    if is_late(agent, instance):
        within = format_duration(agent.spec.update.progress_deadline)
        return f"was not available within {within}{how_it_is(agent, instance)}"
    # While it halts, no run of it was long enough to start the count anew.
    times = ends_in_a_row(instance, None, 0)
    return f"ended {times} times in a row before it was available"


def how_it_is(agent: Agent, instance: Instance) -> str:
    """Of one that is not available, after what it is not."""
    if instance.status is not InstanceStatus.RUNNING:
        return f": it is {instance.status.value}"
    if is_ready(agent, instance):
        return ": it is not ready for long enough"
    return f": it is not ready{f' ({instance.health_message})' if instance.health_message else ''}"


def is_held_up(state: FabricState, agent: Agent, *, besides: int = 0) -> bool:
    """Whether a rollout goes no further: it is paused, or halted (see `halted_by`)."""
    if agent.paused and agent.rollout_cursor:
        return True
    return halted_by(state, agent, besides=besides) is not None


class Wanted:
    """Which version each slot's next generation has: the newest. While a rollout is halted or paused, nothing that it
    has not reached is made anew in it: a slot keeps its version, a new one has the one that works.
    """

    __slots__ = ("_agent", "_halted", "_state", "_working")

    def __init__(self, state: FabricState, agent: Agent) -> None:
        self._state = state
        self._agent = agent
        self._halted = bool(agent.rollout_cursor) and is_held_up(state, agent)
        self._working = 0

    def version(self, number: int) -> int:
        agent = self._agent
        if not self._halted or number < agent.rollout_cursor:
            return agent.version
        slot = agent.slots.get(number)
        current = self._state.instances.get(slot.current) if slot is not None else None
        if current is not None:
            return current.version
        self._working = self._working or version_that_works(self._state, agent)
        return self._working


def known_to_work(state: FabricState, agent: Agent) -> int:
    """The newest version besides the one that rolls out that is proven, or of which an instance works now; 0: none.

    While a rollout is under way such instances are superseded, or current in slots that it has not reached.
    """
    newest = newest_proven(agent, besides=agent.version)
    for identifier in agent.superseded:
        superseded = state.instances[identifier]
        # How many generations in a row had failed before it is not known any more.
        if superseded.version > newest and _works(state, agent, superseded, 0):
            newest = superseded.version
    for number in range(max(1, agent.rollout_cursor), agent.replicas + 1):
        slot = agent.slots.get(number)
        current = state.instances.get(slot.current) if slot is not None else None
        if slot is None or current is None or current.version <= newest:
            continue
        if _works(state, agent, current, slot.failures):
            newest = current.version
    return newest


def _works(state: FabricState, agent: Agent, instance: Instance, failures: int) -> bool:
    """Whether it is of another version than the newest, and runs well."""
    return instance.version != agent.version and runs_well(agent, instance, failures, state.time_ms)


def version_that_works(state: FabricState, agent: Agent) -> int:
    """The version for what is made while the newest is halted: the one that is known to work; if none is, the newest
    other one that a replica runs; if none does, the one that was gone back to, or the one before."""
    known = known_to_work(state, agent)
    if known:
        return known
    currents = [state.instances.get(slot.current) for slot in agent.slots.values()]
    runs = [
        current.version
        for current in (*currents, *(state.instances[identifier] for identifier in agent.superseded))
        if current is not None and current.status is InstanceStatus.RUNNING and current.version != agent.version
    ]
    if not runs and agent.versions[agent.version].source in agent.versions:
        return agent.versions[agent.version].source  # what was gone back from is no better than what it went to
    return max(runs or [number for number in agent.versions if number < agent.version], default=agent.version)


def proven_nodes(state: FabricState, agent: Agent, version: int) -> frozenset[str] | None:
    """The nodes that are known to have what a version needs, where some are known not to; None: any may have it.

    They are those where a replica of it runs, once another has failed for good with a permanent cause.
    """
    failed = (state.instances[identifier] for identifier in agent.failed)
    if not any(one.version == version and failed_permanently(one) for one in failed):
        return None
    currents = (state.instances.get(slot.current) for slot in agent.slots.values())
    return frozenset(
        current.node
        for current in currents
        if current is not None and current.version == version and current.status is InstanceStatus.RUNNING
    )
