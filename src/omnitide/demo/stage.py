"""The processes of a demo: a Nexus and the machines, in a folder of their own, tethered to whoever calls this."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

import msgspec

from omnitide.demo.orders import Orders, Progress
from omnitide.security.private_files import ensure_private_directory

NEXUS_S: Final = 60.0
STOP_S: Final = 15.0
MARK: Final = "demo.json"
"""In a folder: it is a demo's, and which."""
CONFIG: Final = "omnitide.toml"
_SETTINGS: Final = """\
# Made by `omnitide demo`. No machine of this fabric is real.
[nexus]
demo = true

[log]
level = "warning"
"""


class StageFailed(Exception):
    """The message is for people."""


class Ports(NamedTuple):
    """0: any that is free."""

    api: int = 0
    node: int = 0
    grpc: int = 0


class Wish(msgspec.Struct, frozen=True):
    """What a demo is to be."""

    nodes: int
    agents: int
    instances: int
    seed: int
    speed: float


class Served(msgspec.Struct, frozen=True):
    """What Nexus says of itself when it serves."""

    url: str
    pid: int
    fabric_id: str


class Stage:
    """`open`, then `nexus`, then `machines`; `close` in any case, which leaves nothing but a folder that was named."""

    def __init__(self, folder: Path | None, wish: Wish) -> None:
        """`folder`: is kept; None: one is made, and removed in the end."""
        self._wish = wish
        self._kept = folder is not None
        self.data = folder or Path()
        self._nexus: subprocess.Popen[bytes] | None = None
        self._crowd: subprocess.Popen[bytes] | None = None

    @property
    def kept(self) -> bool:
        return self._kept

    @property
    def machines_pid(self) -> int:
        return self._crowd.pid if self._crowd is not None else 0

    @property
    def nexus_pid(self) -> int:
        return self._nexus.pid if self._nexus is not None else 0

    def open(self) -> None:
        """Raises StageFailed for what is no folder or not a demo's, InsecureFile for one that others can look into, and
        OSError; then nothing was written."""
        if not self._kept:
            self.data = Path(tempfile.mkdtemp(prefix="omnitide-demo-"))
        elif self.data.exists() and not self.data.is_dir():
            raise StageFailed(f"{self.data} is no folder")
        elif self.data.is_dir() and any(self.data.iterdir()) and not (self.data / MARK).exists():
            raise StageFailed(f"{self.data} is in use, and not by a demo: give it a folder that is new or a demo's")
        ensure_private_directory(self.data)
        # First of all, so that one which is broken off in its beginning can be told as well.
        (self.data / MARK).write_bytes(msgspec.json.encode(self._wish))
        (self.data / CONFIG).write_text(_SETTINGS)

    def nexus(self, ports: Ports) -> Served:
        """Start it and wait until it serves. Raises StageFailed."""
        folder, log = self.data / "nexus", self.data / "nexus.log"
        ready = folder / "nexus.json"
        ready.unlink(missing_ok=True)
        words = ["--data", str(folder), "--config", str(self.data / CONFIG), "--log-file", str(log)]
        for name, port in ports._asdict().items():
            words += [f"--{name}-port", str(port)]
        self._nexus = self._start("omnitide.demo.nexus", words, log, subprocess.DEVNULL)
        deadline = time.monotonic() + NEXUS_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                served = msgspec.json.decode(ready.read_bytes(), type=Served)
                if served.pid == self._nexus.pid:
                    return served
            if self._nexus.poll() is not None:
                raise StageFailed(f"Nexus ended with code {self._nexus.returncode}: {_last(log)}")
            time.sleep(0.02)
        raise StageFailed(f"Nexus does not serve after {NEXUS_S:.0f} s: {_last(log)}")

    def machines(self, served: Served) -> Iterator[Progress]:
        """Start them; how far they have come, until they are ready. Raises StageFailed."""
        log = self.data / "machines.log"
        self._crowd = self._start("omnitide.demo.crowd", [], log, subprocess.PIPE)
        orders = Orders(
            url=served.url,
            token=(self.data / "nexus" / "admin-token").read_text().strip(),
            ca_pem=(self.data / "nexus" / "ca.pem").read_text(),
            data=str(self.data),
            nexus_pid=served.pid,
            remove=not self._kept,
            **msgspec.structs.asdict(self._wish),
        )
        _tell(self._crowd, msgspec.json.encode(orders) + b"\n")
        out = cast("IO[bytes]", self._crowd.stdout)
        for line in out:
            progress = msgspec.json.decode(line, type=Progress)
            if progress.error:
                raise StageFailed(f"the machines did not come up: {progress.error}")
            yield progress
            if progress.ready:
                return
        raise StageFailed(f"the machines ended: {_last(log)}")

    def ended(self) -> str:
        """Which of them has ended, that should not have; empty: none."""
        for title, process in (("Nexus", self._nexus), ("the machines", self._crowd)):
            if process is not None and process.poll() is not None:
                return f"{title} ended with code {process.returncode}"
        return ""

    def close(self) -> None:
        """End all, the machines first, and remove the folder that was made. Idempotent."""
        if self._crowd is not None:
            with contextlib.suppress(OSError):
                _tell(self._crowd, b"end\n")
            _end(self._crowd)
        if self._nexus is not None:
            with contextlib.suppress(ProcessLookupError):
                self._nexus.terminate()
            _end(self._nexus)
        self._crowd = self._nexus = None
        if not self._kept and self.data != Path():
            shutil.rmtree(self.data, ignore_errors=True)

    def _start(self, module: str, words: list[str], log: Path, out: int) -> "subprocess.Popen[bytes]":
        # Nothing that is set for the fabric of whoever calls this is to reach the demo's.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OMNITIDE_")}
        with log.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", module, *words],
                stdin=subprocess.PIPE,
                stdout=out if out != subprocess.DEVNULL else file,
                stderr=file,
                env={**environment, "GRPC_VERBOSITY": "NONE"},
                # Ctrl-C is for the command, which then ends them in order.
                start_new_session=True,
            )


def _tell(process: "subprocess.Popen[bytes]", line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _last(log: Path) -> str:
    """The last line of a log, and where the rest is."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    said = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    return said[:400]


def summary(served: Served, data: Path, wish: Wish) -> dict[str, object]:
    """For programs."""
    return {**json.loads(msgspec.json.encode(served)), "data": str(data), **msgspec.structs.asdict(wish)}
