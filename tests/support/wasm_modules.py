"""Small WebAssembly modules as text, for tests: each a WASI command that does one thing."""

from pathlib import Path

import wasmtime

_WASI = "wasi_snapshot_preview1"
_WRITE = f'(import "{_WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
_EXIT = f'(import "{_WASI}" "proc_exit" (func $exit (param i32)))'
_MEMORY = '(memory (export "memory") 2)'
_PUT = """(func $put (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))"""

TRAP = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
LOOP = '(module (memory (export "memory") 1) (func (export "_start") (loop br 0)))'
HOG = """(module (memory (export "memory") 1) (func (export "_start") (loop
    (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) (br 0))))"""
TOO_BIG = '(module (memory (export "memory") 4096) (func (export "_start")))'
NO_COMMAND = '(module (func (export "other")))'
STRANGE_IMPORT = '(module (import "env" "magic" (func)) (func (export "_start")))'


def exits(code: int) -> str:
    return f'(module {_EXIT} {_MEMORY} (func (export "_start") (call $exit (i32.const {code}))))'


def says(text: str, stream: int = 1, *, forever: bool = False) -> str:
    """Prints a text without a line's end; `forever`: and then waits for ever (it loops)."""
    after = "(loop br 0)" if forever else ""
    return f"""(module {_WRITE} {_MEMORY} (data (i32.const 64) "{text}") {_PUT}
        (func (export "_start") (call $put (i32.const {stream}) (i32.const 64) (i32.const {len(text)})) {after}))"""


def floods(times: int) -> str:
    """Prints 64 KiB of zeros so many times."""
    return f"""(module {_WRITE} {_MEMORY} {_PUT} (func (export "_start") (local $n i32) (loop
        (call $put (i32.const 1) (i32.const 64) (i32.const 65536))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if 0 (i32.lt_u (local.get $n) (i32.const {times}))))))"""


def shows(what: str) -> str:
    """Prints its arguments (`args`) or environment (`environ`), each with a NUL after it, as WASI gives them."""
    return f"""(module {_WRITE}
        (import "{_WASI}" "{what}_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "{_WASI}" "{what}_get" (func $get (param i32 i32) (result i32)))
        {_MEMORY} {_PUT}
        (func (export "_start")
            (drop (call $sizes (i32.const 16) (i32.const 20)))
            (drop (call $get (i32.const 1024) (i32.const 8192)))
            (call $put (i32.const 1) (i32.const 8192) (i32.load (i32.const 20)))))"""


def writes(path: str, text: str, *, directory: int = 3) -> str:
    """Makes a file below a preopened directory (3 is the first); exits with WASI's errno."""
    return f"""(module {_WRITE} {_EXIT}
        (import "{_WASI}" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        {_MEMORY} (data (i32.const 64) "{text}") (data (i32.const 512) "{path}") {_PUT}
        (func (export "_start") (local $error i32)
            (local.set $error (call $open (i32.const {directory}) (i32.const 0) (i32.const 512) (i32.const {len(path)})
                (i32.const 9) (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 32)))
            (if (local.get $error) (then (call $exit (local.get $error))))
            (call $put (i32.load (i32.const 32)) (i32.const 64) (i32.const {len(text)}))))"""


def copies(source: str, target: str, *, source_in: int, target_in: int) -> str:
    """Prints a file, writes it to another, and then waits for ever (it loops); exits with WASI's errno. The directories
    are by their numbers: 3 is the instance's own, then come those that it is given."""

    def opened(directory: int, at: int, path: str, flags: int, right: int, into: int) -> str:
        return f"""(local.set $error (call $open (i32.const {directory}) (i32.const 0) (i32.const {at})
                (i32.const {len(path)}) (i32.const {flags}) (i64.const {right}) (i64.const 0) (i32.const 0)
                (i32.const {into})))
            (if (local.get $error) (then (call $exit (local.get $error))))"""

    return f"""(module {_WRITE} {_EXIT}
        (import "{_WASI}" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "{_WASI}" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        {_MEMORY} (data (i32.const 512) "{source}") (data (i32.const 768) "{target}") {_PUT}
        (func (export "_start") (local $error i32)
            {opened(source_in, 512, source, 0, 2, 32)}
            {opened(target_in, 768, target, 9, 64, 36)}
            (i32.store (i32.const 16) (i32.const 1024))
            (i32.store (i32.const 20) (i32.const 4096))
            (local.set $error (call $read (i32.load (i32.const 32)) (i32.const 16) (i32.const 1) (i32.const 24)))
            (if (local.get $error) (then (call $exit (local.get $error))))
            (call $put (i32.const 1) (i32.const 1024) (i32.load (i32.const 24)))
            (call $put (i32.load (i32.const 36)) (i32.const 1024) (i32.load (i32.const 24)))
            (loop br 0)))"""


def asks(function: str, parameters: str, arguments: str) -> str:
    """Calls a function of WASI and exits with its errno."""
    return f"""(module (import "{_WASI}" "{function}" (func $ask (param {parameters}) (result i32))) {_EXIT} {_MEMORY}
        (func (export "_start") (call $exit (call $ask {arguments}))))"""


def component(answer: int) -> str:
    """A component whose `wasi:cli/run` succeeds (0) or fails (1)."""
    return f"""(component
        (core module $m (func (export "run") (result i32) (i32.const {answer})))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $r (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $r)))"""


def lay(directory: Path, text: str, name: str = "module.wasm") -> str:
    """The binary in a file; its path."""
    path = directory / name
    path.write_bytes(wasmtime.wat2wasm(text))
    return str(path)


def declares(mebibytes: int) -> str:
    """Needs so much memory to begin, and touches its last byte."""
    pages = mebibytes * 16
    return f"""(module (memory (export "memory") {pages})
        (func (export "_start") (i32.store8 (i32.const {(mebibytes << 20) - 1}) (i32.const 1))))"""


def grows_many(memories: int, mebibytes: int) -> str:
    """Has several memories and fills each; exits with 7 when it has got them all."""
    parts = "".join(f"(memory $m{number} 1)" for number in range(memories))
    fills = "".join(
        f"""(if (i32.eq (memory.grow $m{number} (i32.const {mebibytes * 16})) (i32.const -1)) (then unreachable))
            (memory.fill $m{number} (i32.const 0) (i32.const 1) (i32.const {mebibytes << 20}))"""
        for number in range(memories)
    )
    return f"""(module {_EXIT} {parts} (func (export "_start") {fills} (call $exit (i32.const 7))))"""


CHANCE = f"""(module {_WRITE} (import "{_WASI}" "random_get" (func $random (param i32 i32) (result i32))) {_MEMORY}
    (func (export "_start")
        (drop (call $random (i32.const 64) (i32.const 16)))
        (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 16))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""
"""Says 16 random bytes."""

TABLE_HOG = """(module (memory (export "memory") 1) (table $t 1 funcref)
    (func (export "_start")
        (loop $more
            (if (i32.eq (table.grow $t (ref.null func) (i32.const 65536)) (i32.const -1)) (then unreachable))
            (br $more))))"""

DEEP = """(module (memory (export "memory") 1)
    (func $down (param i64) (result i64) (i64.add (call $down (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
    (func (export "_start") (drop (call $down (i64.const 0)))))"""

BAD_START = """(module (memory (export "memory") 1)
    (func $early unreachable) (start $early) (func (export "_start")))"""

ENDLESS_START = """(module (memory (export "memory") 1)
    (func $early (loop br 0)) (start $early) (func (export "_start")))"""

NO_SUCH_FUNCTION = f"""(module (import "{_WASI}" "no_such_thing" (func)) (memory (export "memory") 1)
    (func (export "_start")))"""

WRONG_TYPE = f"""(module (import "{_WASI}" "fd_write" (func (param i64))) (memory (export "memory") 1)
    (func (export "_start")))"""

START_WITH_PARAMETERS = """(module (memory (export "memory") 1) (func (export "_start") (param i32)))"""

START_THAT_IS_NONE = """(module (memory (export "_start") 1))"""


def wants(interface: str) -> str:
    """A component that is a command and imports an interface."""
    return component(0).replace("(component", f'(component (import "{interface}" (instance))', 1)


def exports(interface: str) -> str:
    """A component of another kind."""
    return component(0).replace("wasi:cli/run@0.2.0", interface)
