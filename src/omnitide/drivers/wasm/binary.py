"""What the first bytes of a WebAssembly binary tell."""

from typing import Final

MAGIC: Final = b"\0asm"


def is_component(binary: bytes) -> bool:
    """By the layer in a binary's header: 0 is a module, 1 a component."""
    return binary[:4] == MAGIC and binary[6:8] == b"\1\0"
