"""`python -m omnitide.drivers.wasm.compiling PREFIX MEMORY SIZE < MODULE`: compile a module; see `compiler`.

MEMORY and SIZE bound, in bytes, this process and what it writes. Exit code 0 with the digest of the compiled form on
standard output, or 2 with one line on standard error for a module that can never run, which says why; 3 where the disk
is full.
"""

import errno
import hashlib
import os
import resource
import sys

from wasmtime import Engine, Module, WasmtimeError
from wasmtime.component import Component

from omnitide.drivers.wasm import compiler, components, engine, modules
from omnitide.drivers.wasm.binary import MAGIC, is_component
from omnitide.drivers.wasm.unusable import Unusable

_NICE = 10
"""What runs comes first."""


def compile_module(made: Engine, binary: bytes) -> bytes:
    """The compiled form. Raises Unusable."""
    try:
        if is_component(binary):
            component = Component(made, binary)
            components.check(made, component)
            return bytes(component.serialize())
        module = Module(made, binary)
        modules.check(made, module)
        return bytes(module.serialize())
    except WasmtimeError as error:
        raise Unusable(" ".join(str(error).split())[:400]) from None


def _lay_down(prefix: str, compiled: bytes) -> str:
    """Its digest."""
    made = hashlib.sha256(compiled).hexdigest()
    partial = compiler.partial(prefix, os.getpid())
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(compiled)
    os.rename(partial, f"{prefix}-{made}.cwasm")
    return made


def main() -> None:
    prefix, memory, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    binary = sys.stdin.buffer.read()
    try:
        if binary[:4] != MAGIC:
            raise Unusable("it is no WebAssembly module: it does not begin with the bytes \\0asm")
        compiled = compile_module(engine.make(threads=True), binary)
        if len(compiled) > size:
            raise Unusable(f"its compiled form has {len(compiled)} bytes; {size} are the most")
    except Unusable as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(compiler.UNUSABLE)
    except MemoryError:
        sys.stderr.write(f"it cannot be compiled with {memory} bytes of memory\n")
        sys.exit(compiler.UNUSABLE)
    try:
        made = _lay_down(prefix, compiled)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.exit(compiler.NO_DISK)
    sys.stdout.write(f"{made}\n")


if __name__ == "__main__":
    main()
