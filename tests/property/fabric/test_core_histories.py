"""Any history: invariants hold after every entry, the log gives the same state again, and trouble that ends is mended.

`World` draws all kinds of commands, plausible and hostile, and checks each step (see there and in `support.spec`).
A failing seed replays exactly: `World(random.Random(seed)).steps(n)`.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.fabric.world import World

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.evolve import apply
from omnitide.fabric.invariants import violations
from omnitide.fabric.snapshot import digest, dump, load
from omnitide.fabric.state import empty_state

ROOT = Path(__file__).parents[3]
SEEDS = 60
SOAK_SEEDS = 5_000
STEPS = 250


def check_log(world: World) -> None:
    """The fold of what was written equals the live state, by every measure; so does what a snapshot gives back."""
    live = world.fabric.state
    state = empty_state()
    for entry in world.fabric.log:
        state = apply(state, ev.decode_entry(ev.encode_entry(entry)))
    assert state == live
    assert digest(state) == digest(live)
    loaded = load(dump(live))
    assert loaded == live
    assert digest(loaded) == digest(live)
    assert violations(loaded) == []


def live(seed: int) -> World:
    world = World(random.Random(seed))
    world.steps(STEPS)
    check_log(world)
    world.come_to_rest()
    check_log(world)
    return world


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(chance=st.randoms(use_true_random=False), steps=st.integers(1, 60))
def test_any_history_is_sound_and_comes_to_rest(chance: random.Random, steps: int) -> None:
    world = World(chance)
    world.steps(steps)
    check_log(world)
    world.come_to_rest()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_long_history_is_sound_and_comes_to_rest(seed: int) -> None:
    live(seed)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(50))
def test_many_long_histories(block: int) -> None:
    each = SOAK_SEEDS // 50
    for seed in range(SEEDS + block * each, SEEDS + (block + 1) * each):
        try:
            live(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


def test_the_histories_have_all_commands_taken_and_refused_and_all_events() -> None:
    """What is never drawn is never tested."""
    taken: set[str] = set()
    refused: set[str] = set()
    kinds: set[str] = set()
    for seed in range(SEEDS):
        world = World(random.Random(seed), checked=False)
        world.steps(STEPS)
        taken |= {name for name, count in world.accepted.items() if count}
        refused |= {name for name, count in world.refused.items() if count}
        kinds |= {ev.kind_of(event) for entry in world.fabric.log for event in entry.events}
    commands = {command.__name__ for command in cm.COMMAND_TYPES}
    assert commands - taken == {"CreateFabric"}, "the fabric is there from the start"
    assert commands - refused == set()
    # There is nothing to raise the level to yet.
    never = {"fabric.feature-level-raised.v1"}
    assert {str(kind.__struct_config__.tag) for kind in ev.EVENT_TYPES} - kinds == never


DIGESTS = """
import hashlib
import random
from omnitide.fabric import commands as cm
from omnitide.fabric.events import encode_entry
from omnitide.fabric.snapshot import digest
from tests.property.fabric.world import World
from tests.support.spec import Fabric, spec

def tell(fabric):
    log = hashlib.sha256(b"".join(encode_entry(entry) for entry in fabric.log)).hexdigest()
    print(fabric.state.revision, digest(fabric.state), log)

for seed in range(12):
    world = World(random.Random(seed), checked=False)
    for _ in range(4):
        world.steps(60)
        tell(world.fabric)
    world.come_to_rest()
    tell(world.fabric)

# Many of everything in one decision.
fabric = Fabric(checked=False)
names = ["alpha", "beta", "gamma", "delta"]
fabric.join(*names)
for number in range(8):
    fabric.deploy(spec(lost_after=1000 * (number % 3)), name=f"agent-{number}", replicas=5)
    fabric.run(name=f"job-{number}")
choices = [cm.PlaceChoice(name, f"n-{names[i % 4]}", ()) for i, name in enumerate(sorted(fabric.state.pending))]
fabric.given(cm.PlaceInstances(seen_revision=0, choices=tuple(choices)), by="system:placer")
fabric.settle()
tell(fabric)
fabric.given(cm.DrainNode(node="alpha"), cm.DrainNode(node="beta"))
tell(fabric)
fabric.lose("gamma", silent_ms=1500)
fabric.lose("gamma")
tell(fabric)
fabric.connect("gamma")
tell(fabric)
fabric.given(cm.RemoveNode(node="delta", force=True))
for number in range(8):
    fabric.deploy(spec("serve", "2"), name=f"agent-{number}")
    fabric.given(cm.CancelJob(namespace="default", name=f"job-{number}"))
tell(fabric)
fabric.settle()
fabric.given(cm.Forget(finished_before_ms=10**15, keep_jobs=0), by="system:janitor")
tell(fabric)
"""


def test_the_same_under_any_order_of_maps_and_sets() -> None:
    """Two processes with other hash seeds, and so another order of every map and set, decide alike."""
    outputs: list[str] = []
    for hash_seed in ("1", "4242"):
        path = os.pathsep.join([str(ROOT), *sys.path])
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert len(outputs[0].splitlines()) == 12 * 5 + 6
    assert outputs[0] == outputs[1]
