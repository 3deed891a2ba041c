"""One line a minute for each node and kind of fault, and how many were left out."""

import logging

import pytest

from omnitide.nexus.manners import MAX_TOLD, PERIOD_S, Complaints


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [vars(one) for one in caplog.records if one.levelno == logging.WARNING]


def test_the_first_is_written_and_the_next_after_a_minute_says_how_many_were_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    complaints = Complaints(clock)
    for _ in range(10):
        complaints.write("node refused", "n1", "protocol", node="n1")
    assert len(lines(caplog)) == 1
    clock.now += PERIOD_S
    complaints.write("node refused", "n1", "protocol", node="n1")
    first, second = lines(caplog)
    assert "left_out" not in str(first)
    assert "'left_out': 9" in str(second)


def test_nodes_and_kinds_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(Clock())
    for node in ("n1", "n2"):
        for kind in ("protocol", "in-use"):
            complaints.write("node refused", node, kind, node=node)
    assert len(lines(caplog)) == 4


def test_a_node_is_not_complained_of_for_ever() -> None:
    clock = Clock()
    complaints = Complaints(clock)
    assert not complaints.recent("n1")
    complaints.write("node refused", "n1", "protocol")
    assert complaints.recent("n1")
    clock.now += PERIOD_S
    assert not complaints.recent("n1")


def test_what_is_remembered_has_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(Clock())
    for number in range(MAX_TOLD + 1):
        complaints.write("node refused", f"n{number}", "protocol")
    caplog.clear()
    complaints.write("node refused", "n1", "protocol")
    assert lines(caplog) == [], "the newest are remembered"
    complaints.write("node refused", "n0", "protocol")
    assert len(lines(caplog)) == 1, "the one told of longest ago was forgotten"
