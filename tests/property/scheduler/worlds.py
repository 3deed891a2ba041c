"""Random small fabrics: few values of everything, so that they collide."""

import random
from typing import Any

from hypothesis import strategies as st
from tests.property.scheduler import reference
from tests.unit.scheduler.world import GIB, World, spec, where

from omnitide.fabric import events as ev
from omnitide.fabric.state import DriverFact, FabricState
from omnitide.model.spec import AgentSpec, Limits

constraints = st.one_of(
    st.builds(
        lambda operator, values: where("zone", operator, *values),
        st.sampled_from(["=", "!=", "in", "not-in"]),
        st.lists(st.sampled_from(["eu", "us", "mars"]), min_size=1, max_size=2),
    ),
    st.sampled_from([where("zone", "exists"), where("zone", "absent"), where("node", "!=", "n0")]),
)

specs = st.builds(
    spec,
    cpu=st.sampled_from([0, 1, 500, 1000, 3000]),
    memory=st.sampled_from([0, GIB // 2, GIB]),
    ports=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from([0, 0, 8080, 9090, 20001]), max_size=3),
    where=st.lists(constraints, max_size=2),
    placement=st.sampled_from(["spread", "pack"]),
    driver=st.sampled_from(["process", "process", "docker"]),
    limits=st.sampled_from(
        [Limits(), Limits(memory=GIB), Limits(memory=GIB, enforcement="required"), Limits(enforcement="required")]
    ),
)

drivers = st.lists(
    st.builds(
        DriverFact,
        name=st.sampled_from(["process", "docker"]),
        healthy=st.sampled_from([True, True, True, False]),
        enforces=st.sampled_from([(), ("memory",), ("cpu", "memory", "pids")]),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda fact: fact.name,
)

nodes = st.fixed_dictionaries(
    {
        "cpu": st.sampled_from([0, 1000, 2000, 4000, 8000]),
        "memory": st.sampled_from([0, GIB, 4 * GIB]),
        "labels": st.sampled_from([{}, {"zone": "eu"}, {"zone": "us"}]),
        "drivers": drivers,
        "ports": st.sampled_from([(0, 0), (20000, 20001), (20000, 20003), (30000, 30010)]),
    }
)

standings = st.sampled_from(["live", "live", "live", "live", "silent", "cordoned", "new", "left"])

agents = st.tuples(specs, st.integers(1, 6), st.integers(0, 2), st.integers(0, 7))
"""Spec, slots, since when, and the node that slots 1 and 2 avoid (beyond the nodes: none)."""

recipes = st.fixed_dictionaries(
    {
        "nodes": st.lists(st.tuples(nodes, standings, st.booleans()), min_size=0, max_size=6),
        "agents": st.lists(agents, min_size=1, max_size=4),
        "settle": st.integers(0, 4),
    }
)


def build(recipe: dict[str, Any], shuffle: int = 0) -> FabricState:
    """The fabric of a recipe. `shuffle` changes the order in which nodes come to be, and so the order of maps."""
    world = World()
    made: list[tuple[int, tuple[dict[str, Any], str, bool]]] = list(enumerate(recipe["nodes"]))
    random.Random(shuffle).shuffle(made)
    for number, (facts, standing, foreign) in made:
        world.node(f"n{number}", world.facts(**facts), connect=standing != "new")
        if foreign:
            world.refuse_port(f"n{number}", 8080)
    for number, (what, slots, since, avoid) in enumerate(recipe["agents"]):
        name = f"agent-{number}"
        world.agent(name, what, 0, time_ms=since)
        avoided = f"n{avoid}" if avoid < len(recipe["nodes"]) else ""
        world.want(name, *range(1, min(slots, 2) + 1), avoid=avoided, time_ms=since)
        world.want(name, *range(3, slots + 1), time_ms=since)
    settle(world, recipe["settle"])
    for number, (_, standing, _) in enumerate(recipe["nodes"]):
        if standing == "silent":
            world.silent(f"n{number}")
        elif standing == "left":
            session = world.state.nodes[f"n-n{number}"].session
            world.emit(ev.NodeDeparting(node=f"n-n{number}", session=session, reason="left", back_within_ms=0))
            world.silent(f"n{number}")
        elif standing == "cordoned":
            world.cordon(f"n{number}")
    return world.state


def settle(world: World, most: int) -> None:
    """Let a few of what waits run already, on the last node that can take them."""
    for instance in sorted(world.state.pending)[:most]:
        what = spec_of(world.state, instance)
        for node in sorted(world.state.nodes.values(), key=lambda node: node.id, reverse=True):
            left = reference.left_on(node)
            if reference.fits(node, left, what) and not what.ports:
                world.put(instance, node.name)
                break


def spec_of(state: FabricState, instance: str) -> AgentSpec:
    return state.agents[state.instances[instance].workload].spec
