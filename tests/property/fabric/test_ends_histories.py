"""Any history: how often a replica has ended in a row grows with each end, and only falls where it is started anew.

The generation that an end is of, the node that it was on, and whether that is lost or drained make no difference.
"""

import random
from collections.abc import Iterator

import pytest
from tests.property.fabric.chance import NAMES
from tests.property.fabric.machines import MACHINES
from tests.property.fabric.world import World
from tests.support.spec import spec

from omnitide.fabric import events as ev
from omnitide.fabric.evolve import apply
from omnitide.fabric.rules.failing import ends_in_a_row
from omnitide.fabric.state import ASKED_FOR, Agent, FabricState, Instance, empty_state
from omnitide.model.spec import Restart

SEEDS = 60
STEPS = 250


def count(agent: Agent, instance: Instance, now_ms: int) -> int:
    return ends_in_a_row(instance, agent.versions[instance.version].spec.restart.reset_after, now_ms)


def currents(state: FabricState) -> Iterator[tuple[tuple[str, int], Agent, Instance]]:
    for agent in state.agents.values():
        for number, slot in agent.slots.items():
            if slot.current in state.instances:
                yield (agent.id, number), agent, state.instances[slot.current]


def starts_anew(entry: ev.Entry, before: Instance, after: Instance) -> bool:
    """Whether the count may fall: another version, what a person asked for, or an older generation that came back."""
    if before.version != after.version or (before.stop_reason and before.stop_reason != "drain"):
        return True
    for event in entry.events:
        match event:
            case ev.InstanceStopRequested():
                if event.instance == before.id and event.reason != "drain":
                    return True
            case ev.InstanceEnded():
                # It waited for a node, and nothing but a person's wish ends such a one.
                if event.instance == before.id and event.status == "stopped" and not before.node:
                    return True
            case ev.InstanceRecovered():
                if event.instance == after.id:
                    return True
            case ev.InstancesCreated():
                asked = event.reason in ("restart", "migrated")
                if asked and event.workload == after.workload and any(one.slot == after.slot for one in event.slots):
                    return True
            case _:
                pass
    return False


def ended(entry: ev.Entry, before: Instance) -> bool:
    """Whether an attempt of it ended by itself, of which nothing had been known."""
    known = before.exit.attempt if before.exit is not None else 0
    for event in entry.events:
        match event:
            case ev.InstanceExited(exit=exit) if event.instance == before.id:
                pass
            case ev.InstanceEnded(exit=exit, status="failed", asked=False) if event.instance == before.id:
                pass
            case _:
                continue
        if exit is not None and exit.attempt > known and exit.reason not in ASKED_FOR:
            return True
    return False


def follow(world: World) -> int:
    """Checks each entry of its log. Returns the highest count."""
    state, most = empty_state(), 0
    for entry in world.fabric.log:
        before = {key: (agent, one) for key, agent, one in currents(state)}
        state = apply(state, entry)
        for key, agent, after in currents(state):
            if key not in before or before[key][1] is after:
                continue
            was = count(*before[key], entry.time_ms)
            now = count(agent, after, entry.time_ms)
            most = max(most, now)
            told = f"{before[key][1]} -> {after} by {entry.events}"
            assert now >= was or starts_anew(entry, before[key][1], after), told
            if ended(entry, before[key][1]) and not starts_anew(entry, before[key][1], after):
                assert now > was, told
    return most


@pytest.mark.parametrize("seed", range(SEEDS))
def test_it_never_falls_by_itself_and_grows_with_each_end(seed: int) -> None:
    world = World(random.Random(seed), checked=False)
    world.steps(STEPS)
    follow(world)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nor_does_it_where_much_ends(seed: int) -> None:
    """One agent on a few nodes, whose replicas end, are lost and moved all the time."""
    world = World(random.Random(seed), checked=False)
    for name in NAMES[:3]:
        world.fabric.join(name, node_facts=MACHINES[name])
    restart = Restart(attempts=seed % 3, backoff=100, backoff_max=1_000, reset_after=60_000)
    world.fabric.deploy(spec(restart=restart), replicas=3)
    often = (world.round, world.exit, world.exit, world.drain, world.uncordon, world.declare_lost, world.connect)
    for _ in range(STEPS):
        world.pick(often)()
        world.fabric.pass_ms(world.chance.randrange(2_000))
    assert follow(world) > 3
