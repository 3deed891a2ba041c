"""A container engine that dies under its node: all say so, nothing is given up, and all is right once it is back."""

import contextlib
import json
import os
import signal
import socketserver
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from omnitide.cli.happenings.wording import text_of
from omnitide.model.objects import Instance
from omnitide.model.services import ServiceEndpoint
from support.container_engine import DockerEngine, built, engine_in
from support.fabric_processes import Fabric, until

WEB = """
name = "web"
driver = "docker"
command = ["heed"]
replicas = 1
container = { image = "conform:1" }
restart = { backoff = "100ms" }
ports = { http = {} }

[health.readiness]
type = "exec"
command = ["/conform", "say", "well"]
interval = "300ms"
timeout = "300ms"
failure_threshold = 2
"""
NET = """
name = "net"
driver = "docker"
command = ["heed"]
container = { image = "conform:1", network = "host" }
ports = { http = {} }

[health.readiness]
type = "tcp"
interval = "200ms"
timeout = "200ms"
failure_threshold = 2
"""
SILENT = "the container engine of node alpha does not answer"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[DockerEngine]:
    program = built(tmp_path_factory.mktemp("conform"))
    with engine_in(tmp_path_factory.mktemp("engine"), "--live-restore") as made:
        made.make_image("conform:1", program)
        yield made


@pytest.fixture
def containers(lone: Fabric, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> Fabric:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    lone.up()
    return lone


def deploy(fabric: Fabric, name: str, text: str) -> Instance:
    (fabric.folder / f"{name}.toml").write_text(text)
    fabric.cli("deploy", str(fabric.folder / f"{name}.toml"), "--no-wait")
    return fabric.running(name, 1)[0]


@contextlib.contextmanager
def listening(port: int) -> Generator[None]:
    """Something takes connections on a port of this machine."""
    with socketserver.TCPServer(("127.0.0.1", port), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def endpoint(fabric: Fabric, name: str) -> ServiceEndpoint:
    return fabric.client.get_service(name).endpoints[0]


def once(fabric: Fabric, name: str, so: Callable[[Instance], bool], what: str) -> Instance:
    def found() -> Instance | None:
        return next((one for one in fabric.instances(name) if so(one)), None)

    return until(found, what)


def test_an_engine_that_dies_is_told_of_everywhere_and_all_is_right_when_it_is_back(
    containers: Fabric, engine: DockerEngine, tmp_path: Path
) -> None:
    fabric = containers
    web, net = deploy(fabric, "web", WEB), deploy(fabric, "net", NET)
    # The engine's network is its own: this is what answers there in its place.
    with listening(net.ports["http"]):
        for name in ("web", "net"):
            until(lambda name=name: endpoint(fabric, name).ready, f"{name} is ready")
        words = ("ps", "--no-trunc", "--format", "{{.ID}}", "--filter", f"label=omnitide.instance={web.id}")
        pid = int(json.loads(engine.docker("inspect", engine.docker(*words).stdout.strip()).stdout)[0]["State"]["Pid"])

        engine.end(signal.SIGKILL)
        away = once(fabric, "web", lambda one: one.status == "unknown", "web is unknown")
        assert (away.last_status, away.unknown_because) == ("running", SILENT)
        since = away.unknown_since_ms
        assert since

        # In every view, with since when.
        until(lambda: f"was running, {SILENT}" in fabric.cli("ps").stdout, "ps says so")
        assert f"{SILENT}, for " in fabric.client.explain_instance(web.id).text
        docker = next(one for one in fabric.client.get_node("alpha").drivers if one.name == "docker")
        assert (docker.healthy, docker.silent_since_ms) == (False, since)
        status = fabric.cli("status").stdout
        assert "2 unknown" in status
        assert f"node alpha: {SILENT}, for " in status
        (told,) = fabric.events("node.driver-silent", subject="node/alpha")
        assert text_of(told).startswith("node alpha has no answer from its driver docker: what that runs is unknown: ")

        # What can be asked over the network goes on being asked, and what cannot says so.
        ill = once(fabric, "web", lambda one: one.health == "unknown" and bool(one.health_message), "web's probe")
        assert ill.health_message.startswith("the readiness probe cannot be asked: ")
        assert not endpoint(fabric, "web").ready
        assert (endpoint(fabric, "net").ready, endpoint(fabric, "net").unknown_since_ms) == (True, since)
        listed = fabric.cli("services").stdout
        assert "no, unknown since" in listed
        assert "yes, unknown since" in listed

        # One error, and the code that a node which is away gives.
        reaching = {
            ("logs", "web"): 5,
            ("cp", "web-1.1:/conform", str(tmp_path / "out")): 5,
            ("port-forward", "web", "http"): 5,
            ("exec", "web", "--", "/conform", "say", "x"): 125,
        }
        for asked, code in reaching.items():
            told = fabric.cli(*asked, code=code).stderr
            assert f"{SILENT} (since 20" in told, asked
            assert "omnitide nodes show alpha" in told, asked

        # Nothing new comes there, with that reason.
        fabric.client.scale_agent("web", 2)
        second = once(fabric, "web", lambda one: one.slot == 2 and one.status == "pending", "the second waits")
        assert "the driver docker does not work on" in fabric.client.explain_instance(second.id).text

        # One of them dies while nobody looks.
        os.kill(pid, signal.SIGKILL)
        seen = {one.id: (one.status, one.last_status, one.attempt) for one in fabric.instances()}
        assert seen[web.id] == seen[net.id] == ("unknown", "running", 1)

        engine.start()
        fabric.running("net", 1)
        both = fabric.running("web", 2)
        assert {one.id: one.attempt for one in both}[web.id] == 2
        assert fabric.instances("net")[0].attempt == 1
        for name in ("web", "net"):
            until(lambda name=name: endpoint(fabric, name).ready, f"{name} is ready again")
            assert endpoint(fabric, name).unknown_since_ms == 0
        assert not fabric.events("instance.ended")
