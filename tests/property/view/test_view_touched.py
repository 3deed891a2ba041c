"""Any history: what looks different after some entries is among what they are said to have touched."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.fabric.world import World

from omnitide.fabric.state import FabricState
from omnitide.operations.viewing.showing import Showing, everything, named
from omnitide.operations.viewing.touched import touched_by
from omnitide.operations.views.silence import Hidden

SEEDS = 12
STEPS = 200
NOW_MS = 2_000_000_000_000
"""The same for both looks: what time alone changes is looked at apart."""


def look(state: FabricState) -> dict[tuple[str, str], bytes | None]:
    showing = Showing(state, lambda _: None, NOW_MS)
    return {key: showing.encoded(*key) for key in everything(state)}


def check(
    before: FabricState, world: World, shown: dict[tuple[str, str], bytes | None]
) -> dict[tuple[str, str], bytes | None]:
    """Returns what the newest state looks like."""
    after = world.fabric.state
    now = look(after)
    different = {key for key in shown.keys() | now.keys() if shown.get(key) != now.get(key)}
    touched = set(named(touched_by(before, world.fabric.log[before.revision :], after)))
    assert different <= touched, sorted(different - touched)
    return now


def check_hidden(hidden: Hidden, before: FabricState, world: World) -> None:
    """One that was kept up is what a fresh one is."""
    after = world.fabric.state
    hidden.follow(after, touched_by(before, world.fabric.log[before.revision :], after).nodes)
    now = Hidden(after)
    assert {agent: hidden.of(agent) for agent in after.agents} == {agent: now.of(agent) for agent in after.agents}
    assert hidden.total() == now.total()


def run(chance: random.Random, steps: int) -> None:
    world = World(chance, checked=False)
    before, shown = world.fabric.state, look(world.fabric.state)
    hidden = Hidden(before)
    for _ in range(steps):
        # Several at once, as when they come within one tick.
        world.steps(chance.randint(1, 4))
        shown = check(before, world, shown)
        check_hidden(hidden, before, world)
        before = world.fabric.state


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_changes_its_look_untouched(seed: int) -> None:
    run(random.Random(seed), STEPS)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(chance=st.randoms(use_true_random=False), steps=st.integers(1, 25))
def test_nothing_changes_its_look_untouched_in_any_history(chance: random.Random, steps: int) -> None:
    run(chance, steps)
