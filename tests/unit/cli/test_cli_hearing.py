"""What is followed tells of a Nexus that does not answer, once, and of its return."""

import pytest

from omnitide.cli import hearing
from omnitide.cli.hearing import Hearing
from omnitide.cli.patience import AFTER_S


class Clock:
    """Time that goes by while Nexus is asked: `answers` are how long each takes, None for one that does not come."""

    def __init__(self, answers: list[float | None]) -> None:
        self.now = 100.0
        self.answers = answers

    def monotonic(self) -> float:
        return self.now

    def ask(self) -> bool:
        answer = self.answers.pop(0)
        self.now += AFTER_S if answer is None else abs(answer)
        return answer is not None and answer >= 0


def told(monkeypatch: pytest.MonkeyPatch, *answers: float | None) -> list[str]:
    """`answers`: seconds until each; negative: until it was refused."""
    clock = Clock(list(answers))
    monkeypatch.setattr(hearing.time, "monotonic", clock.monotonic)
    said: list[str] = []
    one = Hearing(clock.ask, said.append, "https://nexus")
    while clock.answers:
        one.look()
        clock.now += 2.0
    return said


def test_one_that_answers_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, 0.1, 2.9, 0.1) == []


def test_a_hung_one_is_told_once_and_so_is_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, 0.0, None, None, None, 1.0, 0.1, None) == [
        "nothing is heard from Nexus at https://nexus for 5 s; waiting for it",
        "Nexus is heard again, after 18 s",
        "nothing is heard from Nexus at https://nexus for 5 s; waiting for it",
    ]


def test_one_that_is_not_there_is_told_by_the_streams_that_break(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, 0.0, -0.01, -0.01, -0.01, 0.1) == []
    assert told(monkeypatch, 0.0, None, -0.01, 0.1)[-1].startswith("Nexus is heard again")
