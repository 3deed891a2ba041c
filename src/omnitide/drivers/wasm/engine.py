"""The one configuration of wasmtime: what is compiled with it can be loaded with it, and with no other."""

from wasmtime import Config, Engine

MAX_STACK = 1 << 20
"""Bytes of a module's own stack; a deeper recursion traps."""


def make() -> Engine:
    config = Config()
    config.wasm_component_model = True
    config.max_wasm_stack = MAX_STACK
    return Engine(config)


def is_component(module: bytes) -> bool:
    """By the layer in a binary's header: 0 is a module, 1 a component."""
    return module[:4] == b"\0asm" and module[6:8] == b"\1\0"
