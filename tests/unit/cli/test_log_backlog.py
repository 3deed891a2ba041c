"""What several instances had written when it began to be followed: in one order, and nobody is waited for for ever."""

from tests.unit.cli.test_cli_show import instance

from omnitide.cli.instances.backlog import BEHIND_S, Backlog
from omnitide.model.happenings import LogChunk

A, B = instance("a-1.1"), instance("a-2.1")


def chunk(at_ms: int) -> LogChunk:
    return LogChunk(at_ms=at_ms, stream="stdout", text=f"{at_ms}\n", attempt=1, position="1:1")


def test_what_was_written_stands_in_order_however_late_it_is_read() -> None:
    seen: list[int] = []
    backlog = Backlog(lambda _, one: seen.append(one.at_ms))
    backlog.expect(A.id, 0.0)
    backlog.expect(B.id, 0.0)
    for at_ms in (1, 3, 5):
        backlog.put((A, chunk(at_ms)), 0.1)
    backlog.caught_up(A.id, 0.1)
    backlog.put((A, chunk(7)), 0.2)
    assert seen == []
    backlog.put((B, chunk(2)), 0.3)
    assert seen == [1, 2]
    backlog.put((B, chunk(6)), 0.4)
    assert seen == [1, 2, 3, 5, 6]
    backlog.caught_up(B.id, 0.5)
    assert seen == [1, 2, 3, 5, 6, 7]
    backlog.put((A, chunk(9)), 0.6)
    backlog.put((B, chunk(8)), 0.6)
    assert seen[-2:] == [9, 8], "what is written from now on is shown as it comes"


def test_one_that_gives_nothing_is_not_waited_for_for_ever() -> None:
    seen: list[int] = []
    backlog = Backlog(lambda _, one: seen.append(one.at_ms))
    backlog.expect(A.id, 0.0)
    backlog.expect(B.id, 0.0)
    backlog.put((A, chunk(1)), 1.0)
    backlog.pass_on(BEHIND_S - 0.1)
    assert seen == []
    backlog.pass_on(BEHIND_S)
    assert seen == [1]
    backlog.put((A, chunk(2)), BEHIND_S)
    assert seen == [1, 2]


def test_a_clock_that_went_back_turns_no_lines_of_one_instance_around() -> None:
    seen: list[int] = []
    backlog = Backlog(lambda _, one: seen.append(one.at_ms))
    backlog.expect(A.id, 0.0)
    backlog.expect(B.id, 0.0)
    for at_ms in (5, 1, 6):
        backlog.put((A, chunk(at_ms)), 0.1)
    backlog.put((B, chunk(4)), 0.1)
    backlog.caught_up(B.id, 0.1)
    backlog.caught_up(A.id, 0.1)
    assert seen == [4, 5, 1, 6]
