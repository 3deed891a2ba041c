"""C programs compiled to modules of WASI preview 1, by Debian's clang and wasi-libc."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

TARGET = "wasm32-wasi"
HEADERS = Path("/usr/include/wasm32-wasi")
PACKAGES = "clang, lld, wasi-libc and libclang-rt-dev-wasm32"


def lacking() -> str:
    """Why there can be none, or nothing."""
    missing = [program for program in ("clang", "wasm-ld") if shutil.which(program) is None]
    missing += [] if HEADERS.is_dir() else ["wasi-libc"]
    return f"{', '.join(missing)} missing: install {PACKAGES}" if missing else ""


def compiled(source: Path, folder: Path, options: Sequence[str] = ()) -> Path:
    """The module of a source file; skips where there is no compiler."""
    why = lacking()
    if why:
        pytest.skip(why)
    module = folder / f"{source.stem}.wasm"
    subprocess.run(["clang", f"--target={TARGET}", "-O1", *options, "-o", module, source], check=True)
    return module
