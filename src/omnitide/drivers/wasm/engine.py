"""The one configuration of wasmtime: what is compiled with it can be loaded with it, and with no other."""

from typing import Final, NamedTuple

from wasmtime import Config, Engine, Linker
from wasmtime.component import Linker as ComponentLinker

from omnitide.drivers.wasm import components, modules

MAX_STACK: Final = 1 << 20
"""Bytes of a module's own stack; a deeper recursion traps."""


def make(*, threads: bool = False) -> Engine:
    """`threads`: compiling may use several. Not in a zygote: a fork takes one thread along."""
    config = Config()
    config.wasm_component_model = True
    config.max_wasm_stack = MAX_STACK
    config.parallel_compilation = threads
    return Engine(config)


class Ready(NamedTuple):
    """What runs have in common, made once: a child has it from its fork."""

    engine: Engine
    modules: Linker
    components: ComponentLinker


def ready() -> Ready:
    made = make()
    return Ready(made, modules.linker(made), components.linker(made))
