"""Whole fabrics through faults, by seed. A failing seed replays with `python -m simulation --seed N` from `tests/`."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.scenario import simulate

SEEDS = 100
SOAK_SEEDS = 10_000
BLOCK = 10
TESTS = Path(__file__).parent.parent


def check(first: int, last: int) -> None:
    logging.disable(logging.CRITICAL)
    try:
        failed = {seed: outcome.faults for seed in range(first, last) if (outcome := simulate(seed)).faults}
    finally:
        logging.disable(logging.NOTSET)
    assert not failed


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_every_fabric_comes_right_when_the_faults_stop(first: int) -> None:
    check(first, first + BLOCK)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(SEEDS, SOAK_SEEDS, 100))
def test_ten_thousand_fabrics_come_right(first: int) -> None:
    check(first, first + 100)


@pytest.mark.timeout(300)
def test_a_seed_replays_exactly_whatever_the_hash_seed() -> None:
    program = (
        "import logging; logging.disable(logging.CRITICAL)\n"
        "from simulation.scenario import simulate\n"
        "for seed in (1, 8, 21, 45, 77): print(simulate(seed))"
    )

    def trace(hash_seed: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=TESTS,
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    first = trace(1)
    assert first.count("Outcome") == 5
    assert trace(2) == first


@pytest.mark.timeout(300)
def test_a_life_is_eventful_enough_to_prove_something() -> None:
    """What the seeds put a fabric through, so that a scenario that does nothing cannot pass for a proof."""
    from simulation.scenario import census

    missing = {
        "node.unreachable.v1",
        "node.lost.v1",
        "instance.lost.v1",
        "instance.recovered.v1",
        "instance.exited.v1",
        "instance.stop-requested.v1",
        "agent.rollout-advanced.v1",
        "agent.removed.v1",
        "node.drained.v1",
        "node.port-refused.v1",
        "job.finished.v1",
        "permanent failures",
        "nexus restarts",
        "sessions",
    }
    logging.disable(logging.CRITICAL)
    try:
        # Until all have been seen: lives after that could take nothing of it back.
        for seed in range(60):
            missing -= {kind for kind, count in census(range(seed, seed + 1)).items() if count > 0}
            if not missing:
                break
    finally:
        logging.disable(logging.NOTSET)
    assert not missing
