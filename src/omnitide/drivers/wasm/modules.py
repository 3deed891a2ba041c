"""Core modules that are commands: they export `_start` and import functions of WASI preview 1 alone."""

from typing import Final

from wasmtime import Engine, FuncType, Linker, Module, ValType, WasmtimeError

from omnitide.drivers.wasm.unusable import Unusable

WASI: Final = "wasi_snapshot_preview1"
START: Final = "_start"


def linker(made: Engine) -> Linker:
    """With all that a module may import.

    `proc_exit` is ours: wasmtime's traps at codes of 126 and more, which processes may end with.
    """
    found = Linker(made)
    found.define_wasi()
    found.allow_shadowing = True
    found.define_func(WASI, "proc_exit", FuncType([ValType.i32()], []), _leave)
    return found


class Left(Exception):
    """The module has called `proc_exit`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code & 0xFF


def _leave(code: int) -> None:
    raise Left(code)


def check(made: Engine, module: Module) -> None:
    """Raises Unusable for what is no command of WASI preview 1."""
    start = next((export.type for export in module.exports if export.name == START), None)
    if start is None:
        raise Unusable(f"the module exports no function {START}: it is no command")
    if not isinstance(start, FuncType) or start.params or start.results:
        raise Unusable(f"the module's {START} is no function without parameters and results")
    for needed in module.imports:
        if needed.module != WASI:
            raise Unusable(f"the module imports {needed.module}.{needed.name}, which is not of WASI preview 1")
    try:
        linker(made).instantiate_pre(module)
    except WasmtimeError as error:
        raise Unusable(f"the module cannot be linked: {' '.join(str(error).split())[:300]}") from None
