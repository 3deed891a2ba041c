"""What a command loads before it answers: nothing of what only others need, which would be most of its time."""

import os
import subprocess
import sys

import pytest
from tests.integration.cli.fabric import MemoryFabric

HEAVY = {
    "asyncio",
    "cryptography",
    "grpc",
    "google",
    "jsonschema",
    "markdown_it",
    "numpy",
    "opentelemetry",
    "psutil",
    "pygments",
    "rich",
    "rocksdict",
    "starlette",
    "textual",
    "tree_sitter",
    "uvicorn",
    "websockets",
    "yaml",
}
"""Of other commands: drawing, servers, keys, manifests."""
PROGRAM = """
import sys
from omnitide.cli.main import main
code = main(sys.argv[1:])
print("loaded", *sys.modules, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("words", [("ps",), ("agents",), ("status",), ("nodes", "list"), ("events", "--tail", "2")])
def test_a_list_loads_only_what_it_needs(fabric: MemoryFabric, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", PROGRAM, *fabric.command(*words)[1:]]
    ran = subprocess.run(
        command, capture_output=True, text=True, env=os.environ, cwd=fabric.folder, timeout=60, check=True
    )
    loaded = next(line for line in ran.stderr.splitlines() if line.startswith("loaded")).split()[1:]
    assert "httpx" in loaded, "it has asked the fabric"
    assert HEAVY & {name.partition(".")[0] for name in loaded} == set()
