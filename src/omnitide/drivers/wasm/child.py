"""One run: a child of the zygote becomes what the keeper wants it to be, loads its module and runs it to its end."""

import os
import resource
import signal
from typing import NoReturn

from wasmtime import Engine, ExitTrap, Module, Store, Trap, WasiConfig, WasmtimeError
from wasmtime.component import Component

from omnitide.drivers.wasm import components, memory, modules
from omnitide.drivers.wasm.engine import Ready
from omnitide.drivers.wasm.work import Work
from omnitide.node.keeper import linux
from omnitide.node.keeper.firm import open_firm
from omnitide.node.keeper.spawn import UMASK

TRAPPED = 134
"""Exit code after a trap: that of a program which was aborted."""
_FAILED = 127
_MAX_SAID = 2000


_SAMPLE = '(module (memory (export "memory") 1) (func (export "_start")))'


def warm_up(ready: Ready) -> None:
    """What `run` does, as far as it can be shared: so that no name is looked up for the first time there.

    Nothing here makes a WasiConfig: the source of WASI's random numbers is seeded where it is first made,
    and all that were forked after that would draw the same.
    """
    store = Store(ready.engine)
    store.set_limits(memory_size=1 << 20)
    module = Module.deserialize(ready.engine, _compiled_apart(ready.engine))
    ready.modules.instantiate(store, module).exports(store)[modules.START]


def _compiled_apart(made: Engine) -> bytes:
    """A module that does nothing, compiled in a child: what a compiler leaves in memory slows each later fork."""
    answer, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with os.fdopen(say, "wb") as file:
                file.write(bytes(Module(made, _SAMPLE).serialize()))
        finally:
            os._exit(0)
    os.close(say)
    with os.fdopen(answer, "rb") as file:
        compiled = file.read()
    os.waitpid(pid, 0)
    return compiled


def run(ready: Ready, work: Work, report: int, words: int, joins: list[int], keeper: int) -> NoReturn:
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
        loaded = _load(ready.engine, work)
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
        stage = "limits"
        store = Store(ready.engine)
        if work.memory_bytes:
            memory.bound(store, work.memory_bytes)
        stage = "directories"
        store.set_wasi(_wasi(work))
    except OSError as error:
        os.write(report, f"{stage} {error.errno or 0}".encode())
    except Exception as error:  # whatever it is, it must be told
        os.write(report, f"{stage} 0 {' '.join(str(error).split())[:200]}".encode())
    else:
        os.close(report)
        code = _run_to_its_end(ready, store, loaded, work, words)
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
        if preopen.firm:
            fd = open_firm(preopen.source)
            source = f"/proc/self/fd/{fd}"
        else:
            fd = os.open(preopen.source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            source = preopen.source
        try:
            wasi.preopen_dir(source, preopen.target, fs_mutable=not preopen.read_only)
        finally:
            os.close(fd)
    return wasi


def _run_to_its_end(ready: Ready, store: Store, loaded: "Module | Component", work: Work, words: int) -> int:
    """The exit code; what it cannot tell goes to `words`."""
    try:
        if isinstance(loaded, Component):
            code = _run_component(ready, store, loaded)
        else:
            start = ready.modules.instantiate(store, loaded).exports(store)[modules.START]
            start(store)  # type: ignore[operator] - `modules.check` has seen that it is a function
            return 0
    except (modules.Left, ExitTrap) as left:
        code = left.code & 0xFF
    except BaseException as error:
        return _trapped(error, work.memory_bytes, words)
    if code and work.memory_bytes and memory.is_full(work.memory_bytes):
        os.write(words, f"exited exited with code {code}; {_fullness(work.memory_bytes)}".encode())
    return code


def _run_component(ready: Ready, store: Store, component: Component) -> int:
    """Call the component's `wasi:cli/run`; its answer as an exit code. Raises WasmtimeError."""
    instance = ready.components.instantiate(store, component)
    found = components.find_run(ready.engine, component)
    run = instance.get_func(store, found) if found is not None else None
    return components.exit_code(run(store) if run is not None else None)


def _trapped(error: BaseException, limit: int, words: int) -> int:
    text = str(error)
    said = next((line.strip() for line in text.splitlines() if "wasm trap" in line), " ".join(text.split()))
    os.write(2, f"{text.rstrip()}\n".encode()[:_MAX_SAID])
    refused = "memory limit" in text or "exceeds" in text  # what it needs to begin
    by_itself = isinstance(error, (Trap, WasmtimeError))
    full = bool(limit) and by_itself and (refused or memory.is_full(limit))
    if full and not refused:
        said = f"{said}; {_fullness(limit)}"
    os.write(words, f"{'out-of-memory' if full else 'trap'} {said}".encode()[:_MAX_SAID])
    return TRAPPED


def _fullness(limit: int) -> str:
    return f"its memory was full: {memory.size()} of {limit} bytes"
