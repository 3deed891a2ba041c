"""What instances use, row by row: of one as it came, of several what all have sent, and each made once for a step."""

import asyncio

import numpy as np
import pytest

from omnitide.telemetry.series import rows as rows_module
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.recent import INSTANCE_CPU, INSTANCE_MEMORY, NODE_CPU, Recent
from omnitide.telemetry.series.rows import MAX_ADDED, RowMaker

NOW = 6004
"""The last second of a step: the row's 24 steps end after it."""
nan = float("nan")


def sampled(recent: Recent, node: str, instance: str, cores: list[float], size: float) -> None:
    """For so many seconds up to now."""
    for name, values in ((INSTANCE_CPU, cores), (INSTANCE_MEMORY, [size] * len(cores))):
        entry = recent.entry(node, SeriesInfo(name, (("instance_id", instance), ("node", node))), 1)
        assert entry is not None
        data = np.array([values])
        gaps = np.isnan(data)
        entry.ring.write(np.array([entry.row]), NOW - len(values) + 1, data, np.array([False]), gaps)


@pytest.fixture
def recent() -> Recent:
    made = Recent(1 << 26)
    sampled(made, "alpha", "a.1.1", [0.5] * 20 + [1.0] * 5, 1000)
    sampled(made, "beta", "a.2.1", [0.25] * 10, 500)
    return made


def alone(one: str) -> tuple[str, ...]:
    return (one,)


async def test_a_row_of_one_instance_goes_up_to_its_newest_sample(recent: Recent) -> None:
    found = await RowMaker(recent, lambda: NOW).rows(["a.1.1", "nothing"], alone)
    assert found.start_s == NOW + 1 - 120
    assert found.rows.keys() == {"a.1.1"}
    row = found.rows["a.1.1"]
    assert row.cpu_milli == (None,) * 19 + (500,) * 4 + (1000,)
    assert row.memory_bytes == (None,) * 19 + (1000,) * 5
    assert row.instances == 1


async def test_a_sum_is_of_what_all_have_sent_and_says_of_how_many_it_is(recent: Recent) -> None:
    """A node sends each 10 s: what one has sent and the other has not would be a fall that is none."""
    found = await RowMaker(recent, lambda: NOW).rows(["agent"], lambda _: ("a.1.1", "a.2.1", "a.3.1"))
    row = found.rows["agent"]
    assert row.cpu_milli == (None,) * 19 + (500, 500, None, None, None)
    assert row.instances == 1
    sampled(recent, "beta", "a.2.1", [0.25] * 25, 500)
    again = await RowMaker(recent, lambda: NOW).rows(["agent"], lambda _: ("a.1.1", "a.2.1", "a.3.1"))
    assert again.rows["agent"].cpu_milli == (None,) * 19 + (750, 750, None, None, None)
    assert again.rows["agent"].memory_bytes[19:21] == (1500, 1500)
    assert again.rows["agent"].instances == 2


async def test_a_sum_of_two_is_one_too(recent: Recent) -> None:
    found = await RowMaker(recent, lambda: NOW).rows(["agent"], lambda _: ("a.1.1", "a.2.1"))
    assert found.rows["agent"].cpu_milli == (None,) * 19 + (500, 500, None, None, None)


async def test_what_has_no_rate_yet_is_shown_with_what_it_holds(recent: Recent) -> None:
    """Of its first second there is an instance's memory: a processor's time is told from one sample to the next."""
    entry = recent.entry("alpha", SeriesInfo(INSTANCE_MEMORY, (("instance_id", "c.1.1"), ("node", "alpha"))), 1)
    assert entry is not None
    entry.ring.write(np.array([entry.row]), NOW, np.full((1, 1), 77.0), np.array([False]), None)
    row = (await RowMaker(recent, lambda: NOW).rows(["c.1.1"], alone)).rows["c.1.1"]
    assert row.cpu_milli == (None,) * 24
    assert (row.memory_bytes[-1], row.instances) == (77, 1)


async def test_a_row_is_made_once_for_a_step_however_many_ask(recent: Recent) -> None:
    now = NOW
    asked: list[str] = []

    def members(one: str) -> tuple[str, ...]:
        asked.append(one)
        return (one,) if one.startswith("a.") else ()

    maker = RowMaker(recent, lambda: now)
    for _ in range(3):
        await maker.rows(["a.1.1", "a.2.1"], members)
    assert asked == ["a.1.1", "a.2.1"]
    now += 1
    assert (await maker.rows(["a.1.1"], members)).start_s == NOW + 6 - 120
    assert asked == ["a.1.1", "a.2.1", "a.1.1"]


async def test_of_a_large_agent_the_first_are_added_up_and_what_was_forgotten_is_left_out(recent: Recent) -> None:
    for number in range(MAX_ADDED + 20):
        sampled(recent, f"n{number % 30}", f"b.{number}.1", [0.001] * 60, 1)
    everyone = [f"b.{number}.1" for number in range(MAX_ADDED + 20)]
    found = await RowMaker(recent, lambda: NOW).rows(["b"], lambda _: everyone)
    assert (found.rows["b"].instances, found.rows["b"].cpu_milli[20]) == (MAX_ADDED, MAX_ADDED)
    recent.forget("n0")
    again = await RowMaker(recent, lambda: NOW).rows(["b"], lambda _: everyone)
    assert again.rows["b"].instances == MAX_ADDED - len(range(0, MAX_ADDED, 30))


async def test_a_row_of_a_node_is_what_the_machine_uses(recent: Recent) -> None:
    entry = recent.entry("alpha", SeriesInfo(NODE_CPU, (("node", "alpha"),)), 1)
    assert entry is not None
    entry.ring.write(np.array([entry.row]), NOW - 9, np.full((1, 10), 2.5), np.array([False]), np.zeros((1, 10), bool))
    found = await RowMaker(recent, lambda: NOW).rows(["alpha", "beta", "a.1.1"], alone)
    assert found.rows.keys() == {"alpha", "a.1.1"}
    assert found.rows["alpha"].cpu_milli[-2:] == (2500, 2500)
    assert found.rows["alpha"].memory_bytes == (None,) * 24
    assert found.rows["alpha"].instances == 1


async def test_what_is_forgotten_in_the_middle_of_a_read_is_left_out_and_no_other_is_read_for_it(
    recent: Recent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "AT_A_TIME", 1)
    of_beta = recent.of_instance(INSTANCE_CPU, "a.2.1")
    assert of_beta is not None
    for number in range(100):  # until the last row, which -1 would be, is of another series
        sampled(recent, "beta", f"other.{number}.1", [9.0] * 25, 9)
        last = recent.of_instance(INSTANCE_MEMORY, f"other.{number}.1")
        if last is not None and last.row == len(of_beta.ring._data) - 1:
            break
    else:
        pytest.fail("the ring is never full")
    asked = asyncio.create_task(RowMaker(recent, lambda: NOW).rows(["a.1.1", "a.2.1"], alone))
    await asyncio.sleep(0)
    recent.forget("beta")
    found = await asked
    assert found.rows.keys() == {"a.1.1"}
