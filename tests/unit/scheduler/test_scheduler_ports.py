"""Host ports: the next free one from a start that moves, so that a port just released is not handed out at once."""

import pytest

from omnitide.scheduler.ask import Waiter
from omnitide.scheduler.ports import first_port, pick_ports


def start(generation: int, first: int, last: int, slot: int = 1, workload: str = "hello") -> int:
    return first_port(workload, Waiter(slot, generation, ""), 1, first, last)


def test_picks_the_next_free_ones_and_goes_round_at_the_end() -> None:
    used = {20003, 20000}
    assert pick_ports(20002, 20000, 20004, 3, used.__contains__) == [20002, 20004, 20001]


def test_gives_what_there_is_when_there_is_too_little() -> None:
    assert pick_ports(20000, 20000, 20002, 3, {20001}.__contains__) == [20000, 20002]
    assert pick_ports(0, 0, -1, 1, set[int]().__contains__) == []


@pytest.mark.parametrize("size", [2, 3, 4, 5, 7, 8, 10, 16, 100, 1000, 32768])
def test_the_next_generation_never_starts_at_the_port_of_the_one_before(size: int) -> None:
    first, last = 20000, 20000 + size - 1
    for generation in range(1, 50):
        before, after = start(generation, first, last), start(generation + 1, first, last)
        assert first <= before <= last
        assert before != after


def test_neighbouring_slots_and_other_workloads_start_elsewhere() -> None:
    starts = {start(1, 20000, 29999, slot=slot) for slot in range(1, 101)}
    assert len(starts) == 100
    assert start(1, 20000, 29999, workload="a") != start(1, 20000, 29999, workload="b")


def test_a_range_of_one_port_is_used_at_once_again() -> None:
    assert {start(generation, 20000, 20000) for generation in range(1, 5)} == {20000}
