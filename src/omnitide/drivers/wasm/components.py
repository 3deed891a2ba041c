"""Components that are commands: they export `run` of the interface `wasi:cli/run`, of some version of WASI 0.2."""

from typing import Final

from wasmtime.component import Component, ExportIndex

_VERSIONS: Final = tuple(f"wasi:cli/run@0.2.{patch}" for patch in range(10))


def find_run(component: Component) -> ExportIndex | None:
    """Where the function is, or None for what is no command."""
    for name in _VERSIONS:
        interface = component.get_export_index(name)
        if interface is not None:
            return component.get_export_index("run", interface)
    return None


def exit_code(answer: object) -> int:
    """`run` answers with a result of no value: an error is code 1."""
    return 1 if getattr(answer, "tag", "ok") == "err" else 0
