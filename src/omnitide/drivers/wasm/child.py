"""One run: a child of the zygote becomes what the keeper wants it to be, loads its module and runs it to its end."""

import os
import resource
import signal
from typing import NoReturn

from wasmtime import Engine, ExitTrap, Linker, Memory, Module, Store, Trap, WasiConfig, WasmtimeError
from wasmtime.component import Component
from wasmtime.component import Linker as ComponentLinker

from omnitide.drivers.wasm import components
from omnitide.drivers.wasm.work import Work
from omnitide.node.keeper import linux
from omnitide.node.keeper.spawn import UMASK

TRAPPED = 134
"""Exit code after a trap: that of a program which was aborted."""
_FAILED = 127
_MAX_SAID = 2000


def run(made: Engine, work: Work, report: int, words: int, joins: list[int], keeper: int) -> NoReturn:
    """Tell of a failure to begin on `report`, which is closed when the module begins; and on `words` of a trap."""
    stage = "session"
    try:
        os.setsid()
        stage = "limits"
        for fd in joins:
            os.write(fd, b"0")
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, work.open_files)
        os.umask(UMASK)
        stage = "module"
        # Before the user changes: what is compiled is readable to the keeper's user alone.
        loaded = _load(made, work)
        if work.private_directory:
            stage = "working-directory"
            os.chdir(work.directory)
        if work.identity is not None:
            stage = "user"
            uid, gid, groups = work.identity
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        stage = "working-directory"
        if not work.private_directory:
            os.chdir(work.directory)
        if work.dies_with_keeper:
            linux.die_with_parent(signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(_FAILED)
        stage = "module"
        store = Store(made)
        if work.memory_bytes:
            store.set_limits(memory_size=work.memory_bytes)
        store.set_wasi(_wasi(work))
    except OSError as error:
        os.write(report, f"{stage} {error.errno or 0}".encode())
    except Exception as error:  # whatever it is, it must be told
        os.write(report, f"{stage} 0 {' '.join(str(error).split())[:200]}".encode())
    else:
        os.close(report)
        try:
            if isinstance(loaded, Component):
                code = _run_component(made, store, loaded)
            else:
                code = _run_module(made, store, loaded, work, words)
        except BaseException as error:
            code = _trapped(error, words, full=False)
        os._exit(code)
    os._exit(_FAILED)


def _load(made: Engine, work: Work) -> "Module | Component":
    if work.component:
        return Component.deserialize_file(made, work.compiled)
    return Module.deserialize_file(made, work.compiled)


def _wasi(work: Work) -> WasiConfig:
    """Raises OSError for a directory that cannot be entered."""
    wasi = WasiConfig()
    wasi.argv = work.arguments
    wasi.env = work.environment.items()
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir(".", ".")
    for preopen in work.preopens:
        os.close(os.open(preopen.source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        wasi.preopen_dir(preopen.source, preopen.target, fs_mutable=not preopen.read_only)
    return wasi


def _run_module(made: Engine, store: Store, module: Module, work: Work, words: int) -> int:
    memory: Memory | None = None
    try:
        linker = Linker(made)
        linker.define_wasi()
        exports = linker.instantiate(store, module).exports(store)
        found = exports.get("memory")
        memory = found if isinstance(found, Memory) else None
        start = exports["_start"]
        start(store)  # type: ignore[operator] - `compiling` has seen that it is a function
    except (WasmtimeError, Trap) as error:
        size = memory.data_len(store) if memory is not None else 0
        return _trapped(error, words, full=bool(work.memory_bytes) and _is_full(size, work.memory_bytes, error))
    return 0


def _is_full(size: int, limit: int, error: BaseException) -> bool:
    """Whether a module that has given up could hardly get more memory, or was refused what it needs to begin.

    wasmtime does not tell that a growth was refused; what a module does then is to abort.
    """
    return size + max(1 << 16, limit // 8) > limit or "memory limit" in str(error) or "exceeds" in str(error)


def _run_component(made: Engine, store: Store, component: Component) -> int:
    """Call the component's `wasi:cli/run`; its answer as an exit code. Raises WasmtimeError."""
    with ComponentLinker(made) as linker:
        linker.add_wasip2()
        instance = linker.instantiate(store, component)
    run = instance.get_func(store, components.find_run(component))
    answer = run(store) if run is not None else None
    return components.exit_code(answer)


def _trapped(error: BaseException, words: int, *, full: bool) -> int:
    """Exit code; what it cannot tell goes to `words`."""
    if isinstance(error, ExitTrap):
        return error.code & 0xFF
    text = str(error)
    said = next((line.strip() for line in text.splitlines() if "wasm trap" in line), " ".join(text.split()))
    os.write(2, f"{text.rstrip()}\n".encode()[:_MAX_SAID])
    reason = "out-of-memory" if full else "trap"
    os.write(words, f"{reason} {said}".encode()[:_MAX_SAID])
    return TRAPPED
