"""`python -m omnitide.drivers.wasm.compiling TARGET < MODULE`: compile a module and lay the result down at TARGET.

Exit code 0, or 2 with one line on standard error for a module that can never run, which says why.
"""

import os
import sys

from wasmtime import Engine, Linker, Module, WasmtimeError
from wasmtime.component import Component
from wasmtime.component import Linker as ComponentLinker

from omnitide.drivers.wasm import components, engine

UNUSABLE = 2


class Unusable(Exception):
    """The module can never run here."""


def compile_module(made: Engine, binary: bytes) -> bytes:
    """The compiled form. Raises Unusable."""
    try:
        if engine.is_component(binary):
            component = Component(made, binary)
            with ComponentLinker(made) as linker:
                linker.add_wasip2()
            if components.find_run(component) is None:
                raise Unusable("the component exports no wasi:cli/run of WASI 0.2: it is no command")
            return bytes(component.serialize())
        module = Module(made, binary)
        linker = Linker(made)
        linker.define_wasi()
        _check(module)
        return bytes(module.serialize())
    except WasmtimeError as error:
        raise Unusable(_line(str(error))) from None


def _check(module: Module) -> None:
    """Raises Unusable for what is no command of WASI preview 1."""
    if "_start" not in {export.name for export in module.exports}:
        raise Unusable("the module exports no function _start: it is no command")
    for needed in module.imports:
        if needed.module not in ("wasi_snapshot_preview1", "wasi_unstable"):
            raise Unusable(f"the module imports {needed.module}.{needed.name}, which is not of WASI preview 1")


def _line(text: str) -> str:
    return " ".join(text.split())[:400]


def main() -> None:
    target = sys.argv[1]
    binary = sys.stdin.buffer.read()
    if binary[:4] != b"\0asm":
        sys.stderr.write("it is no WebAssembly module: it does not begin with the bytes \\0asm\n")
        sys.exit(UNUSABLE)
    try:
        compiled = compile_module(engine.make(), binary)
    except Unusable as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(UNUSABLE)
    partial = f"{target}~{os.getpid()}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(compiled)
    os.rename(partial, target)


if __name__ == "__main__":
    main()
