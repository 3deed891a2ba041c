"""Pieces of an answer, put together: the newest of what comes later is the newest of all."""

import numpy as np

from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.partials import Gathered, Partials, Window

A, B = (SeriesInfo("m", (("node", name),)) for name in "ab")


def piece(series: list[SeriesInfo], values: list[list[float]]) -> Partials:
    cells = np.array(values)
    there = ~np.isnan(cells)
    number = there.astype(np.float64)
    return Partials(series, cells, cells.copy(), np.where(there, cells, 0.0), number, *(cells.copy() for _ in range(3)))


def test_pieces_of_the_same_steps_are_joined_the_older_first() -> None:
    nan = float("nan")
    gathered = Gathered(Window(0, 60, 3))
    gathered.add(piece([A], [[5.0, 7.0]]), np.array([0, 1]))
    gathered.add(piece([B, A], [[1.0, 2.0], [3.0, nan]]), np.array([1, 2]))
    gathered.add(piece([A], [[4.0]]), np.array([0]))
    whole = gathered.partials()
    assert whole.series == [A, B]
    np.testing.assert_array_equal(whole.last, [[4.0, 3.0, nan], [nan, 1.0, 2.0]])
    np.testing.assert_array_equal(whole.least, [[4.0, 3.0, nan], [nan, 1.0, 2.0]])
    np.testing.assert_array_equal(whole.most, [[5.0, 7.0, nan], [nan, 1.0, 2.0]])
    np.testing.assert_array_equal(whole.total, [[9.0, 10.0, 0.0], [0.0, 1.0, 2.0]])
    np.testing.assert_array_equal(whole.number, [[2.0, 2.0, 0.0], [0.0, 1.0, 1.0]])


def test_a_later_piece_without_a_sample_does_not_take_the_last_one_away() -> None:
    gathered = Gathered(Window(0, 60, 1))
    gathered.add(piece([A], [[5.0]]), np.array([0]))
    gathered.add(piece([A], [[float("nan")]]), np.array([0]))
    assert gathered.partials().last.tolist() == [[5.0]]
