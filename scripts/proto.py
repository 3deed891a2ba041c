"""Makes the protobuf and gRPC stubs of `omnitide.wire` from proto/. Usage: python scripts/proto.py [FOLDER]

protoc writes one package per proto package (`omnitide/v1`), with absolute imports. Ours live flat in `omnitide.wire`:
the modules are moved there and their imports of one another rewritten. Descriptors keep the proto names, which is what
the wire and gRPC reflection show. Stubs of a proto file that is gone are removed.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
WIRE = ROOT / "src" / "omnitide" / "wire"
PACKAGE = "omnitide.v1"


def rewrite(text: str) -> str:
    """Point a generated module's references to its siblings at `omnitide.wire`."""
    package = re.escape(PACKAGE)
    text = re.sub(rf"^from {package} import (\w+_pb2)", r"from omnitide.wire import \1", text, flags=re.MULTILINE)
    text = re.sub(rf"^import {package}\.(\w+_pb2)", r"import omnitide.wire.\1", text, flags=re.MULTILINE)
    return re.sub(rf"(?<=[' ]){package}\.(\w+_pb2)\b", r"omnitide.wire.\1", text)


def generate(target: Path) -> list[Path]:
    """Write the stubs of every file in proto/omnitide/v1 into `target`; returns them. Raises CalledProcessError."""
    sources = sorted(path.relative_to(PROTO) for path in (PROTO / "omnitide" / "v1").glob("*.proto"))
    # The plugins are console scripts of the same environment, which need not be on the caller's PATH.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with tempfile.TemporaryDirectory() as scratch:
        outputs = [f"--{kind}_out={scratch}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROTO), *outputs, *map(str, sources)]
        subprocess.run(command, check=True, env=environment, stderr=subprocess.PIPE, text=True)
        made = {path.name: rewrite(path.read_text()) for path in sorted(Path(scratch, "omnitide", "v1").iterdir())}
    target.mkdir(parents=True, exist_ok=True)
    for stale in [*target.glob("*_pb2*.py"), *target.glob("*_pb2*.pyi")]:
        if stale.name not in made:
            stale.unlink()
    for name, text in made.items():
        path = target / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return [target / name for name in made]


if __name__ == "__main__":
    try:
        for path in generate(Path(sys.argv[1]) if len(sys.argv) > 1 else WIRE):
            print(path.name)
    except subprocess.CalledProcessError as error:
        sys.exit(f"protoc failed:\n{error.stderr}")
