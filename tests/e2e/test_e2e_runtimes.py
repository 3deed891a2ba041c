"""Agents of the driver wasm and in a sandbox through the installed command: deployed, logged, killed, restarted."""

import os
import signal
from pathlib import Path

import pytest

from omnitide.drivers import process_sandbox
from support import wasm_modules
from support.fabric_processes import Fabric, until

MODULE = """\
kind = "agent"
name = "module"
driver = "wasm"

[wasm]
module = "{path}"

[restart]
backoff = "100ms"
"""

BOXED = """\
kind = "agent"
name = "boxed"
isolation = "sandbox"
command = ["/bin/sh", "-c", "echo pid $$$$ sees $(echo /proc/[0-9]*); ls -A /root; exec sleep 100000"]

[sandbox]
network = false

[restart]
backoff = "100ms"
"""


def has_said(fabric: Fabric, agent: str, text: str) -> bool:
    return until(lambda: text in fabric.cli("logs", agent).stdout, f"{agent} has said {text!r}")


def kill_and_see_it_again(fabric: Fabric, agent: str) -> None:
    (one,) = fabric.running(agent, 1)
    os.kill(int(one.handle), signal.SIGKILL)
    again = until(
        lambda: next((it for it in fabric.running(agent, 1) if it.handle != one.handle), None), f"{agent} runs again"
    )
    assert again.attempt > one.attempt


def test_a_module_runs_is_seen_and_is_restarted_when_it_dies(fabric: Fabric, tmp_path: Path) -> None:
    pytest.importorskip("wasmtime")
    path = wasm_modules.lay(tmp_path, wasm_modules.says("hello from wasm\\0a", forever=True))
    file = tmp_path / "module.toml"
    file.write_text(MODULE.format(path=path))
    assert "module 1/1 running" in fabric.cli("deploy", str(file)).stdout
    assert has_said(fabric, "module", "hello from wasm")
    kill_and_see_it_again(fabric, "module")
    for words in (("cp", "module:x", str(tmp_path)), ("cp", str(file), "module:x")):
        refused = fabric.cli(*words, code=2).stderr
        assert "of a WebAssembly module no files can be copied" in refused
        assert "volume" in refused
    assert "beside a module" in fabric.cli("exec", "module", "--", "true", code=125).stderr
    fabric.cli("restart", "module")
    fabric.running("module", 1)
    fabric.cli("rm", "module")
    assert not fabric.instances("module", status="running")


def test_a_malformed_module_is_a_clear_failure(fabric: Fabric, tmp_path: Path) -> None:
    pytest.importorskip("wasmtime")
    path = tmp_path / "broken.wasm"
    path.write_bytes(b"this is no module")
    file = tmp_path / "module.toml"
    file.write_text(MODULE.format(path=path))
    fabric.cli("deploy", str(file), "--no-wait")
    until(
        lambda: any("no WebAssembly module" in str(it) for it in fabric.instances("module")),
        "the reason is told",
    )
    fabric.cli("rm", "module")


@pytest.mark.skipif(not process_sandbox.works(), reason="bubblewrap does not work here")
def test_a_sandboxed_agent_sees_itself_alone_and_is_restarted_when_it_dies(fabric: Fabric, tmp_path: Path) -> None:
    file = tmp_path / "boxed.toml"
    file.write_text(BOXED)
    assert "boxed 1/1 running" in fabric.cli("deploy", str(file)).stdout
    assert has_said(fabric, "boxed", "pid 2 sees /proc/1 /proc/2")
    kill_and_see_it_again(fabric, "boxed")
    fabric.cli("restart", "boxed")
    fabric.running("boxed", 1)
    fabric.cli("rm", "boxed")
    assert not fabric.instances("boxed", status="running")
