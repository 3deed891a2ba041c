"""One batch as one value: it comes back exactly, and no change to it goes unseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.store.framing import FIRST_LINK, LINK_BYTES, Damaged, Frame, decode, encode

links = st.binary(min_size=LINK_BYTES, max_size=LINK_BYTES)
batches = st.tuples(
    st.integers(1, 1 << 62),
    st.integers(0, 1 << 62),
    st.binary(min_size=1, max_size=64),
    st.lists(st.binary(max_size=50), min_size=1, max_size=20),
    links,
)


@given(batches)
def test_a_batch_comes_back_as_it_was(parts: tuple[int, int, bytes, list[bytes], bytes]) -> None:
    first, epoch, batch_id, payloads, previous = parts
    value, link = encode(first, epoch, batch_id, payloads, previous)
    frame = decode(value)
    assert frame == Frame(first, epoch, batch_id, previous, link, payloads)
    assert frame.last == first + len(payloads) - 1


@given(batches, st.data())
def test_any_changed_bit_is_seen(parts: tuple[int, int, bytes, list[bytes], bytes], data: st.DataObject) -> None:
    value, _ = encode(*parts)
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged):
        decode(bytes(changed))


@given(batches, st.data())
def test_any_cut_and_any_addition_is_seen(
    parts: tuple[int, int, bytes, list[bytes], bytes], data: st.DataObject
) -> None:
    value, _ = encode(*parts)
    with pytest.raises(Damaged):
        decode(value[: data.draw(st.integers(0, len(value) - 1))])
    with pytest.raises(Damaged):
        decode(value + data.draw(st.binary(min_size=1, max_size=10)))


def test_the_link_depends_on_all_that_came_before() -> None:
    _, link = encode(1, 1, b"id", [b"a"], FIRST_LINK)
    _, other = encode(1, 1, b"id", [b"b"], FIRST_LINK)
    assert encode(2, 1, b"id", [b"c"], link)[1] != encode(2, 1, b"id", [b"c"], other)[1]


def test_the_layout_is_frozen() -> None:
    """Format 1 as it is on disks: a change here needs a new format number and a reader for the old one."""
    value, link = encode(7, 3, b"id", [b"one", b"", b"three"], bytes(range(16)))
    assert link.hex() == "2e6d7834688ab59bbbeaa0a31e1a1de4"
    assert value.hex() == (
        "010200000300000007000000000000000300000000000000"
        "000102030405060708090a0b0c0d0e0f"
        "2e6d7834688ab59bbbeaa0a31e1a1de4"
        "69640300000000000000050000006f6e657468726565"
    )
