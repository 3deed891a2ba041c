"""How much linear memory a process has, read from its mappings."""

import pytest

pytest.importorskip("wasmtime")

from omnitide.drivers.wasm.memory import of_maps

HEAP = "55d000000000-55d000100000 rw-p 00000000 00:00 0                          [heap]\n"
STACK = "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n"
MEMORY = """7f0000000000-7f0000010000 rw-p 00000000 00:01 99                         /memfd:wasm-memory-image (deleted)
7f0000010000-7f0000100000 rw-p 00000000 00:00 0
7f0000100000-7f0102000000 ---p 00000000 00:00 0
"""
ARENA = """7e0000000000-7e0000021000 rw-p 00000000 00:00 0
7e0000021000-7e0004000000 ---p 00000000 00:00 0
"""


def test_a_memory_is_what_can_be_written_before_its_reserve() -> None:
    assert of_maps(HEAP + MEMORY + STACK) == 1 << 20


def test_several_are_added_up() -> None:
    second = MEMORY.replace("7f0", "7d0").replace("7f01", "7d01")
    assert of_maps(second + MEMORY) == 2 << 20


def test_heap_stack_and_the_arenas_of_threads_are_none() -> None:
    assert of_maps(HEAP + ARENA + STACK) == 0


def test_what_is_not_next_to_the_reserve_does_not_count() -> None:
    assert of_maps("7effffff0000-7effffff8000 rw-p 00000000 00:00 0\n" + MEMORY) == 1 << 20
