"""A Docker Engine of the tests' own: its socket, data and containers are below one folder, its bridge and its packet
filter in a network namespace of its own, and all ends with it. And a registry, and images made from nothing."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

T = TypeVar("T")

DEADLINE_S = 60.0
OF_ENGINES = ("containerd", "containerd-shim-runc-v2", "conmon")
PROGRAMS = Path(__file__).parent / "programs"


def wait_for(condition: Callable[[], T | None], what: str, within_s: float = DEADLINE_S) -> T:
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)


def built(folder: Path) -> Path:
    """The conformance program, compiled and static."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    program = folder / "conform"
    subprocess.run([compiler, "-O1", "-static", "-o", program, PROGRAMS / "conform.c"], check=True)
    return program


@dataclass
class DockerEngine:
    """`start`, `stop` and so on by process id; `close` leaves nothing behind."""

    folder: Path
    short: Path
    """For sockets, whose paths may not be long."""
    options: Sequence[str] = ()
    _process: "subprocess.Popen[bytes] | None" = None
    _network: "subprocess.Popen[bytes] | None" = None
    """Does nothing but hold the network namespace."""

    server: ClassVar[str] = "dockerd"

    @property
    def socket(self) -> Path:
        return self.short / "engine.sock"

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def within(self, *words: str) -> list[str]:
        """A command in the engine's network, among its mounts."""
        assert self._network is not None
        own = f"/proc/{self._network.pid}/ns"
        return ["nsenter", f"--net={own}/net", f"--mount={own}/mnt", "--", *words]

    def _make_network(self) -> None:
        self._network = subprocess.Popen(
            ["unshare", "--net", *self._unshared(), "--", "sleep", "infinity"], stdin=subprocess.DEVNULL
        )
        theirs, ours = f"/proc/{self._network.pid}/ns/net", os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink(theirs) != ours, "the network namespace is there")
        ran = subprocess.run(self.within("ip", "link", "set", "lo", "up"), capture_output=True, check=False)
        if ran.returncode != 0:
            pytest.skip(f"no network namespaces here: {ran.stderr.decode(errors='replace')}")

    def start(self) -> None:
        first = self._network is None
        if first:
            self._make_network()
        with (self.folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.within(*self._command()),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=self._environment(),
            )
        process = self._process

        def answers() -> bool:
            if process.poll() is not None:
                assert first, f"{self.server} does not start again: {self.last_words()}"
                pytest.skip(f"{self.server} does not run here: {self.last_words()}")
            return self.docker("version", check=False).returncode == 0

        wait_for(answers, f"{self.server} answers")

    def _unshared(self) -> list[str]:
        """What of the machine it has for itself besides its network."""
        return []

    def _command(self) -> list[str]:
        return [
            self.server,
            f"--host={self.host}",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.short / 'exec'}",
            f"--pidfile={self.folder / 'engine.pid'}",
            *self.options,
        ]

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def last_words(self) -> str:
        return (self.folder / "dockerd.log").read_text(errors="replace")[-600:]

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(number)
        process.wait(DEADLINE_S)
        self._process = None
        # Its containerd dies with it, but where nobody reaps it the next engine takes it to be alive.
        (self.short / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def docker(self, *words: str, check: bool = True, stdin: bytes | None = None) -> "subprocess.CompletedProcess[str]":
        ran = subprocess.run(
            ["docker", "--host", self.host, *words],
            input=stdin.decode("latin-1") if stdin is not None else None,
            capture_output=True,
            encoding="latin-1",
            timeout=DEADLINE_S,
            check=False,
            env={**os.environ, "DOCKER_CONFIG": str(self.folder / "config")},
        )
        assert not check or ran.returncode == 0, f"docker {words}: {ran.stdout}\n{ran.stderr}"
        return ran

    def make_image(self, name: str, program: Path, *changes: str) -> str:
        """An image of one program, `/conform`, and its entry point; its id."""
        tar = subprocess.run(
            ["tar", "--create", "--directory", program.parent, program.name], capture_output=True, check=True
        )
        words = [word for change in (f'ENTRYPOINT ["/{program.name}"]', *changes) for word in ("--change", change)]
        return self.docker("import", *words, "-", name, stdin=tar.stdout).stdout.strip()

    def containers(self, *filters: str) -> list[str]:
        words = [word for one in filters for word in ("--filter", one)]
        return self.docker("ps", "--all", "--no-trunc", "--format", "{{.Names}}", *words).stdout.split()

    def inspect(self, name: str) -> dict[str, object]:
        return json.loads(self.docker("inspect", name).stdout)[0]

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            left = self.docker("ps", "--all", "--quiet", check=False).stdout.split()
            if left:
                self.docker("rm", "--force", *left, check=False)
            self.end()
        self._end_containerd()
        if self._network is not None:
            self._network.kill()
            self._network.wait()
        for folder in (self.folder, self.short):
            for mount in _mounts_below(folder):
                subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(self.short, ignore_errors=True)

    def _end_containerd(self) -> None:
        """That of an engine that was killed, and Podman's monitors, which wait for minutes after a further program."""
        for proc in Path("/proc").iterdir():
            if not proc.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (proc / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words[0].rpartition("/")[2] in OF_ENGINES and any(str(self.short) in word for word in words):
                    os.kill(int(proc.name), signal.SIGKILL)


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in reversed(lines) if line.split()[1].startswith(f"{folder}/")]


@contextlib.contextmanager
def engine_in(folder: Path, *options: str, of: type[DockerEngine] = DockerEngine) -> Generator[DockerEngine]:
    """Skips where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for program in (of.server, "docker"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    engine = of(folder, Path(tempfile.mkdtemp(prefix="engine-")), options)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


@contextlib.contextmanager
def registry_in(folder: Path, engine: DockerEngine, port: int, htpasswd: str = "") -> Generator[str]:
    """Debian's registry on the engine's loopback, where it takes it without TLS; its address. `htpasswd`: a line of
    name and bcrypt hash; without, everybody may."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    auth = ""
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd + "\n")
        auth = f"auth:\n  htpasswd:\n    realm: tests\n    path: {folder / 'htpasswd'}\n"
    settings = folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {folder / 'registry'}\n"
        f"http:\n  addr: 127.0.0.1:{port}\n{auth}"
    )
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(engine.within("docker-registry", "serve", str(settings)), stdout=log, stderr=log)
    asked = engine.within(sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))")
    try:
        wait_for(
            lambda: subprocess.run(asked, check=False, capture_output=True).returncode == 0, "the registry answers"
        )
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
