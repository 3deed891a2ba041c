"""The ring of the last minutes: what is written comes back, what is too old is gone, rates are made of totals."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitide.telemetry.series.rings import NEVER, Ring

GAUGE, COUNTER = np.array([False]), np.array([True])


def write(ring: Ring, row: int, first: int, values: list[float], *, counter: bool = False) -> None:
    data = np.array([values], np.float64)
    gaps = np.isnan(data)
    ring.write(np.array([row]), first, data, COUNTER if counter else GAUGE, gaps if gaps.any() else None)


def read(ring: Ring, row: int, first: int, count: int) -> list[float | None]:
    found = ring.read(np.array([row]), first, count)[0]
    return [None if np.isnan(value) else float(value) for value in found]


nan = float("nan")


def test_what_was_written_is_read_and_the_rest_is_unknown() -> None:
    ring = Ring(1, 10)
    row = ring.allocate()
    write(ring, row, 100, [1, 2, nan, 4])
    assert read(ring, row, 98, 8) == [None, None, 1, 2, None, 4, None, None]


def test_the_newest_is_the_last_known_within_so_many_steps_of_the_end() -> None:
    ring = Ring(1, 10)
    empty, behind, row = (ring.allocate() for _ in range(3))
    write(ring, behind, 98, [7])
    write(ring, row, 100, [1, 2, 4, nan])
    assert ring.newest(row, 1) != ring.newest(row, 1), "nothing is known of the last step"
    assert ring.newest(row, 2) == 4
    assert ring.newest(behind, 5) != ring.newest(behind, 5)
    assert ring.newest(behind, 6) == ring.newest(behind, 1000) == 7
    assert ring.newest(empty, 1000) != ring.newest(empty, 1000)
    write(ring, row, 109, [9])
    assert ring.newest(behind, 1000) != ring.newest(behind, 1000), "what has left the ring is not known any more"


def test_a_pause_leaves_a_gap_and_not_what_was_there_a_round_before() -> None:
    ring = Ring(1, 10)
    row = ring.allocate()
    write(ring, row, 100, list(range(10)))
    write(ring, row, 115, [5])
    assert read(ring, row, 106, 10) == [6, 7, 8, 9, None, None, None, None, None, 5]
    assert read(ring, row, 100, 6) == [None] * 6


def test_what_is_older_than_the_ring_is_not_taken() -> None:
    ring = Ring(1, 10)
    row = ring.allocate()
    write(ring, row, 100, [1])
    write(ring, row, 80, [9] * 12)
    assert read(ring, row, 91, 10) == [9, None, None, None, None, None, None, None, None, 1]


def test_what_comes_late_is_taken_in_its_place() -> None:
    ring = Ring(1, 10)
    row = ring.allocate()
    write(ring, row, 105, [5])
    write(ring, row, 101, [1])
    assert read(ring, row, 101, 5) == [1, None, None, None, 5]


def test_a_counter_is_kept_as_its_rate_and_may_begin_again() -> None:
    ring = Ring(1, 20)
    row = ring.allocate()
    write(ring, row, 100, [1000, 1010, 1030], counter=True)
    write(ring, row, 103, [1030, 7, 8], counter=True)
    assert read(ring, row, 100, 6) == [None, 10, 20, 0, 7, 1]


def test_a_rate_bridges_a_short_pause_and_not_a_long_one() -> None:
    ring = Ring(1, 30)
    row = ring.allocate()
    write(ring, row, 100, [10, nan, nan, 40], counter=True)
    write(ring, row, 106, [70], counter=True)
    write(ring, row, 120, [100, 101], counter=True)
    assert read(ring, row, 100, 7) == [None, None, None, 10, None, None, 10]
    assert read(ring, row, 120, 2) == [None, 1]


def test_a_batch_that_comes_twice_changes_nothing() -> None:
    ring = Ring(1, 20)
    row = ring.allocate()
    write(ring, row, 100, [0, 10, 20, 40], counter=True)
    before = read(ring, row, 100, 4)
    write(ring, row, 102, [20, 40], counter=True)
    write(ring, row, 104, [50], counter=True)
    assert read(ring, row, 100, 5) == [*before, 10]


def test_an_old_total_that_comes_late_is_none_that_a_rate_is_made_from() -> None:
    ring = Ring(1, 20)
    row = ring.allocate()
    write(ring, row, 104, [400, 410], counter=True)
    write(ring, row, 101, [100, 130], counter=True)
    write(ring, row, 106, [430], counter=True)
    assert read(ring, row, 101, 6) == [None, 30, None, None, 10, 20]
    assert ring.shown(np.array([row]), COUNTER)[0].tolist() == [430]


def test_what_is_shown_of_a_row_is_its_newest_sample_and_nothing_once_that_is_gone() -> None:
    ring = Ring(1, 10)
    gauge, counter, silent = ring.allocate(), ring.allocate(), ring.allocate()
    write(ring, gauge, 100, [1, 2, nan])
    write(ring, counter, 101, [500, 520], counter=True)
    rows, counters = np.array([gauge, counter, silent]), np.array([False, True, False])
    values, slots = ring.shown(rows, counters)
    assert values[:2].tolist() == [2, 520], "of a counter its total"
    assert slots.tolist() == [101, 102, NEVER]
    write(ring, counter, 111, [700], counter=True)
    assert ring.shown(rows, counters)[1].tolist() == [NEVER, 111, NEVER], "in its place lies what came a round later"


def test_a_row_is_reused_and_begins_empty() -> None:
    ring = Ring(1, 10)
    row = ring.allocate()
    write(ring, row, 100, [1, 2], counter=True)
    ring.free(row)
    size = ring.bytes
    again = ring.allocate()
    assert (again, ring.bytes) == (row, size)
    assert read(ring, again, 100, 2) == [None, None]
    write(ring, again, 102, [500], counter=True)
    assert read(ring, again, 102, 1) == [None], "its first total has none before it"


def test_a_series_of_a_second_has_3616_bytes() -> None:
    assert Ring(1, 900).row_bytes() == 3616


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=12)), max_size=12
    )
)
def test_it_holds_what_a_table_of_the_newest_columns_would(writes: list[tuple[int, list[int]]]) -> None:
    ring, table, end = Ring(1, 15), dict[int, float](), 0
    row = ring.allocate()
    for first, values in writes:
        write(ring, row, first, [float(value) for value in values])
        end = max(end, first + len(values)) if first + len(values) > end - 15 else end
        table.update({first + index: float(value) for index, value in enumerate(values) if first + index >= end - 15})
    assert read(ring, row, 0, 75) == [table.get(slot) if end - 15 <= slot < end else None for slot in range(75)]
