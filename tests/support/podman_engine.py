"""Podman behind its compatible socket, as a `DockerEngine`: its storage, networks and containers are below one folder,
and its mounts and packet filter in namespaces of its own."""

from typing import ClassVar

from support.container_engine import DockerEngine

STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{short}/run"
"""
SETTINGS = """\
[containers]
default_ulimits = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "{short}/tmp"
[network]
network_config_dir = "{folder}/networks"
"""
"""Without systemd, and without limits that this machine may not raise."""


class PodmanEngine(DockerEngine):
    server: ClassVar[str] = "podman"

    def start(self) -> None:
        for name, text in (("storage.conf", STORAGE), ("containers.conf", SETTINGS)):
            (self.folder / name).write_text(text.format(folder=self.folder, short=self.short))
        super().start()

    def _unshared(self) -> list[str]:
        return ["--mount", "--propagation", "private"]

    def _command(self) -> list[str]:
        # The engine's own notes of addresses lie at fixed places.
        own = "mkdir -p /var/lib/cni && mount -t tmpfs none /var/lib/cni"
        script = f'{own} && exec podman system service --time=0 "$1"'
        return ["sh", "-c", script, "sh", self.host]

    def _environment(self) -> dict[str, str]:
        return {
            **super()._environment(),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
        }
