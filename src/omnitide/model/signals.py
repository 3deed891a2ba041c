"""Names of signals, as nodes have them: Linux's, whatever machine shows them."""

from typing import Final

# fmt: off
_NAMES: Final = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
)
# fmt: on


def signal_name(number: int) -> str:
    """`SIGKILL`. Empty for one that has no name: the real-time ones have one only together with a C library."""
    return f"SIG{_NAMES[number - 1]}" if 0 < number <= len(_NAMES) else ""
