"""What the image of a node starts: it joins once, comes back as the same node without a token, and ends in order."""

import os
import signal
import subprocess
from pathlib import Path

from support.fabric_processes import OMNITIDE, Fabric, until

SCRIPT = Path(__file__).parents[2] / "deploy" / "container" / "node"


def start(fabric: Fabric, name: str, token: str) -> "subprocess.Popen[bytes]":
    environment = fabric.environment(name) | {
        "OMNITIDE_DATA": str(fabric.data(name)),
        "PATH": f"{OMNITIDE.parent}:{os.environ['PATH']}",
        **({"OMNITIDE_JOIN_TOKEN": token} if token else {}),
    }
    log = (fabric.folder / f"{name}.out").open("ab")
    return subprocess.Popen(
        ["sh", str(SCRIPT), fabric.url, "--name", name],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=fabric.folder,
    )


def test_a_container_joins_once_and_is_that_node_from_then_on(shared: Fabric) -> None:
    def status() -> str:
        return next((one.status for one in shared.client.nodes() if one.name == "boxed"), "")

    shared.data("boxed").mkdir()
    token = shared.token()
    try:
        for given in (token, ""):
            process = start(shared, "boxed", given)
            try:
                until(lambda: status() == "live", (shared.folder / "boxed.out").read_text())
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()
                process.wait()
            until(lambda: status() != "live", "it has said goodbye")
        assert len([one for one in shared.client.nodes() if one.name == "boxed"]) == 1
    finally:
        shared.cli("down", code=None, name="boxed")
        shared.cli("nodes", "rm", "boxed", "--force", code=None)
