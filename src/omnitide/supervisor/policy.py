"""Whether and when a process that ended is started again. Pure."""

HEALTHY_MS = 10_000
"""One that lived so long was well: what comes after begins anew."""
FIRST_MS = 100
MOST_MS = 30_000

WRONG_USE = 2
PERMANENT = {
    WRONG_USE: "its arguments or its configuration are wrong",
    4: "this node was removed from its fabric",
    5: "its identity, its keys or its data cannot be used",
    6: "another process has its data directory",
}
"""Exit codes with which Nexus and the node proxy say that starting them again cannot help."""


def failures_after(failures: int, lived_ms: int) -> int:
    """Deaths in a row, after one that had lived for so long."""
    return 1 if lived_ms >= HEALTHY_MS else failures + 1


def delay_ms(failures: int) -> int:
    """How long to wait before the next start, after so many deaths in a row: nothing, then 0.1 s doubled up to 30 s."""
    if failures <= 1:
        return 0
    return min(MOST_MS, FIRST_MS * 2 ** min(failures - 2, 16))


def why_permanent(code: "int | None") -> str:
    """Why a process that ended with this code is not started again; empty if it is."""
    return PERMANENT.get(code, "") if code is not None else ""
