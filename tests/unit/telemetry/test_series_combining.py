"""Series that are made one, where one has taken the place of another within a step."""

from pathlib import Path

import numpy as np
import pytest

from omnitide.nexus.rollups import Rolled
from omnitide.store.rollups import RollupStore
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.query import Question, Tiers
from omnitide.telemetry.series.recent import Recent
from omnitide.telemetry.series.selecting import selection_of

BEGIN = 500_000 * 3600
MINUTES = 3
NOW = BEGIN + 60 * MINUTES
nan = float("nan")


def line(*parts: tuple[int, float]) -> list[float]:
    """Samples of each second: so many of a value, one after the other, NaN to the end."""
    values = [value for seconds, value in parts for _ in range(seconds)]
    return values + [nan] * (60 * MINUTES - len(values))


class Fabric:
    """Replicas of one agent, sampled over three minutes."""

    def __init__(self, path: Path) -> None:
        self.recent = Recent(1 << 26)
        self.now = NOW
        self.rolled = Rolled(RollupStore(path), self.recent, lambda: self.now, {"alpha": "n1"}.get)
        # The service began before there was a sample.
        self.rolled._next = self.rolled._began = BEGIN // 60
        self._series = 0

    def sample(self, values: list[float], step_s: int = 1) -> None:
        self._series += 1
        labels = (("agent", "web"), ("instance", f"web-{self._series}"), ("node", "alpha"))
        entry = self.recent.entry("n1", SeriesInfo("m", labels, "gauge"), step_s)
        assert entry is not None
        data = np.array([values])
        entry.ring.write(np.array([entry.row]), BEGIN // step_s, data, np.array([False]), np.isnan(data))

    async def ask(
        self, aggregate: str, combine: str = "sum", *, later_s: int = 3600, step_s: int = 60, end_s: int = NOW
    ) -> list[float]:
        """`later_s`: so long after the samples; memory does not reach back so far as an hour."""
        self.now = NOW
        if later_s:
            await self.rolled.take_until(NOW // 60)
        self.now = NOW + later_s
        tiers = Tiers(self.recent, self.rolled, lambda: self.now, lambda: max(BEGIN, self.now - 899))
        question = Question(selection_of("m", ()), BEGIN, end_s, step_s, aggregate, ("agent",), combine)  # type: ignore[arg-type]
        (found,) = (await tiers.ask(question)).found
        return found.values.tolist()


@pytest.fixture(params=["memory", "minutes"])
def later_s(request: pytest.FixtureRequest) -> int:
    """Asked of what is kept by the second and of what is kept by the minute: the answers are the same."""
    return 60 if request.param == "memory" else 3600


@pytest.mark.parametrize(
    ("aggregate", "combine", "expected"),
    [
        ("avg", "sum", [10, 10 / 3 + 20 * 2 / 3, 20]),
        ("max", "sum", [10, 20, 20]),
        ("min", "sum", [10, 10, 20]),
        ("last", "sum", [10, 20, 20]),
        ("avg", "avg", [10, 10 / 3 + 20 * 2 / 3, 20]),
        ("last", "avg", [10, 20, 20]),
        ("max", "max", [10, 20, 20]),
        ("min", "min", [10, 10, 20]),
    ],
)
async def test_a_replica_and_its_successor_are_not_counted_as_two(
    tmp_path: Path, later_s: int, aggregate: str, combine: str, expected: list[float]
) -> None:
    fabric = Fabric(tmp_path)
    fabric.sample(line((80, 10.0)))
    fabric.sample(line((80, nan), (100, 20.0)))
    assert await fabric.ask(aggregate, combine, later_s=later_s) == pytest.approx(expected)
    await fabric.rolled.close()


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [("avg", [40, 30 + 10 / 3 + 20 * 2 / 3, 50]), ("max", [40, 50, 50]), ("min", [40, 40, 50]), ("last", [40, 50, 50])],
)
async def test_nor_beside_another_that_stays(
    tmp_path: Path, later_s: int, aggregate: str, expected: list[float]
) -> None:
    fabric = Fabric(tmp_path)
    fabric.sample(line((80, 10.0)))
    fabric.sample(line((80, nan), (100, 20.0)))
    fabric.sample(line((180, 30.0)))
    assert await fabric.ask(aggregate, later_s=later_s) == pytest.approx(expected)
    await fabric.rolled.close()


async def test_those_that_ran_at_the_same_time_for_a_while_are_both_counted_for_it(
    tmp_path: Path, later_s: int
) -> None:
    """A rollout that starts the new one first."""
    fabric = Fabric(tmp_path)
    fabric.sample(line((100, 10.0)))
    fabric.sample(line((80, nan), (100, 20.0)))
    assert await fabric.ask("avg", later_s=later_s) == pytest.approx([10, (40 * 10 + 40 * 20) / 60, 20])
    assert await fabric.ask("max", later_s=later_s) == pytest.approx([10, 30, 20])
    assert await fabric.ask("min", later_s=later_s) == pytest.approx([10, 10, 20])
    await fabric.rolled.close()


@pytest.mark.parametrize("aggregate", ["avg", "min", "max", "last"])
async def test_a_sample_that_was_lost_is_no_end(tmp_path: Path, later_s: int, aggregate: str) -> None:
    """Even where that is the first or the last of a step; nor is a pause that all have, as while Nexus was away."""
    fabric = Fabric(tmp_path)
    fabric.sample(line((60, 10.0), (1, nan), (20, 10.0), (10, nan), (28, 10.0), (1, nan), (60, 10.0)))
    fabric.sample(line((58, 20.0), (2, nan), (21, 20.0), (10, nan), (89, 20.0)))
    assert await fabric.ask(aggregate, later_s=later_s) == pytest.approx([30, 30, 30])
    await fabric.rolled.close()


async def test_what_is_sampled_seldom_is_weighed_the_same(tmp_path: Path, later_s: int) -> None:
    fabric = Fabric(tmp_path)
    fabric.sample([10.0] * 6 + [nan] * 6, step_s=15)
    fabric.sample([nan] * 6 + [20.0] * 6, step_s=15)
    assert await fabric.ask("avg", later_s=later_s) == pytest.approx([10, 15, 20])
    await fabric.rolled.close()


async def test_samples_that_are_still_on_their_way_are_missed_by_no_sum(tmp_path: Path) -> None:
    """Of the minute that is not over yet: a node sends each ten seconds."""
    fabric = Fabric(tmp_path)
    fabric.sample(line((170, 10.0)))
    fabric.sample(line((180, 20.0)))
    assert await fabric.ask("avg", later_s=0, end_s=NOW) == pytest.approx([30, 30, 30])
    assert await fabric.ask("last", later_s=0, end_s=NOW) == pytest.approx([30, 30, 30])
    await fabric.rolled.close()


async def test_a_sample_that_was_lost_at_the_very_end_is_no_moment_with_fewer(tmp_path: Path, later_s: int) -> None:
    """After it comes nothing that would tell; a real end is longer ago."""
    fabric = Fabric(tmp_path)
    fabric.sample(line((180, 5.0)))
    fabric.sample(line((120 + 57, 7.0)))
    assert await fabric.ask("min", later_s=later_s) == pytest.approx([12, 12, 12])
    await fabric.rolled.close()
    ended = Fabric(tmp_path / "ended")
    ended.sample(line((180, 5.0)))
    ended.sample(line((120 + 50, 7.0)))
    assert await ended.ask("min", later_s=later_s) == pytest.approx([12, 12, 5])
    await ended.rolled.close()


async def test_what_had_ended_before_its_successor_began_is_not_among_the_last(tmp_path: Path, later_s: int) -> None:
    """Be it only a moment before, and the successor short-lived."""
    fabric = Fabric(tmp_path)
    fabric.sample(line((130, 10.0)))
    fabric.sample(line((131, nan), (3, 20.0)))
    assert await fabric.ask("last", later_s=later_s) == pytest.approx([10, 10, 20], nan_ok=True)
    await fabric.rolled.close()
