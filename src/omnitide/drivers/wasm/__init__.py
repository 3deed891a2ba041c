"""The driver `wasm`: WASI modules and components, each in a process of its own, forked by a zygote under the keeper.

`driver` is the client side and imports no wasmtime; `zygote` and `compiling` run as programs of their own and do.
"""

from omnitide.drivers.wasm.driver import make

__all__ = ["make"]
