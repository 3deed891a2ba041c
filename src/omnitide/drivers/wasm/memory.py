"""The bounds of a run's memory, and how near to them it was."""

import resource
from typing import Final

from wasmtime import Store

RUNTIME_BYTES: Final = 64 << 20
"""What the process that runs a module may take besides the module's memory."""
_TABLE_ELEMENT: Final = 8
_RESERVED: Final = 1 << 30
"""Address space that wasmtime keeps free behind a memory, at least; nothing else does."""
_PAGE: Final = resource.getpagesize()


def bound(store: Store, limit: int) -> None:
    """Each of the store's memories, and its tables, by wasmtime; all of them together by the kernel."""
    store.set_limits(memory_size=limit, table_elements=max(1024, limit // _TABLE_ELEMENT))
    most = _data() + limit + RUNTIME_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _data() -> int:
    """What counts for RLIMIT_DATA by now, in bytes."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read(200).split()[5]) * _PAGE


def is_full(limit: int) -> bool:
    """Whether a module could hardly get more. wasmtime does not tell of a growth that it refused."""
    return size() + max(1 << 16, limit // 8) > limit


def size() -> int:
    """Bytes of all linear memories, of modules and in components: what can be written and has a reserve behind it."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        return of_maps(file.read())


def of_maps(text: str) -> int:
    found = run = run_end = 0
    for line in text.splitlines():
        addresses, rights, *_ = line.split(maxsplit=2)
        begin, end = (int(part, 16) for part in addresses.split("-"))
        if begin != run_end:
            run = 0
        if rights.startswith("rw"):
            run += end - begin
        else:
            if rights.startswith("---") and end - begin >= _RESERVED:
                found += run
            run = 0
        run_end = end
    return found
