"""Components that are commands: they export `run` of the interface `wasi:cli/run`, of some version of WASI 0.2."""

import re
from typing import Final

from wasmtime import Engine
from wasmtime.component import Component, ExportIndex, Linker

from omnitide.drivers.wasm.unusable import Unusable

_RUN: Final = re.compile(r"wasi:cli/run@0\.2\.\d+")
_GIVEN: Final = re.compile(r"wasi:(cli|clocks|filesystem|io|random|sockets)/[a-z0-9-]+@0\.2\.\d+")


def linker(made: Engine) -> Linker:
    """With all that a component may import."""
    found = Linker(made)
    found.add_wasip2()
    return found


def find_run(made: Engine, component: Component) -> ExportIndex | None:
    """Where the function is, or None for what is no command."""
    for name in component.type.exports(made):
        interface = component.get_export_index(name) if _RUN.fullmatch(name) else None
        if interface is not None:
            return component.get_export_index("run", interface)
    return None


def check(made: Engine, component: Component) -> None:
    """Raises Unusable for what is no command of WASI 0.2, or asks for what it is not given."""
    if find_run(made, component) is None:
        found = ", ".join(component.type.exports(made)) or "nothing"
        raise Unusable(f"the component exports no wasi:cli/run of WASI 0.2, but {found[:200]}: it is no command")
    for name in component.type.imports(made):
        if name.startswith("wasi:http/"):
            raise Unusable(f"the component imports {name}: wasi:http is not given to components here")
        if name.startswith("wasi:") and "@0.3" in name:
            raise Unusable(f"the component imports {name}: WASI 0.3 is not run here")
        if not _GIVEN.fullmatch(name):
            raise Unusable(f"the component imports {name}, which is not of WASI 0.2")


def exit_code(answer: object) -> int:
    """`run` answers with a result of no value: an error is code 1."""
    return 1 if getattr(answer, "tag", "ok") == "err" else 0
