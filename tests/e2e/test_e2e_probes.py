"""Probes through the installed command: readiness that comes and goes, liveness that restarts."""

import sys
from pathlib import Path

from omnitide.model.objects import Instance
from support.fabric_processes import Fabric, until

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists(sys.argv[1] + self.path) else 503)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()
"""


def manifest(folder: Path, name: str, *probes: str) -> str:
    """An agent that answers 200 to /X while there is a file X in `folder`, and 503 otherwise."""
    script = folder / "server.py"
    script.write_text(SERVER)
    file = folder / f"{name}.toml"
    lines = [f'name = "{name}"', f'command = ["{sys.executable}", "{script}", "{folder}"]', "[ports]", "http = {}"]
    file.write_text("\n".join([*lines, *probes]))
    return str(file)


def the_one(fabric: Fabric, name: str) -> Instance:
    (one,) = fabric.instances(name, status="running")
    return one


def health(fabric: Fabric, name: str, wanted: str) -> Instance:
    def so() -> Instance | None:
        one = next(iter(fabric.instances(name, status="running")), None)
        return one if one is not None and one.health == wanted else None

    return until(so, f"{name} is {wanted}")


READINESS = """
[health.readiness]
type = "http"
path = "/ready"
interval = "100ms"
timeout = "100ms"
failure_threshold = 2
"""


def test_readiness_comes_and_goes_and_restarts_nothing(fabric: Fabric, tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    fabric.cli("deploy", manifest(tmp_path, "web", READINESS))
    first = health(fabric, "web", "healthy")
    (tmp_path / "ready").unlink()
    ill = health(fabric, "web", "unhealthy")
    assert ill.health_message == "readiness probe failed 2 times in a row: GET /ready answers 503"
    assert "unhealthy" in fabric.cli("ps").stdout
    assert "GET /ready answers 503" in fabric.cli("explain", "web").stdout
    (tmp_path / "ready").touch()
    again = health(fabric, "web", "healthy")
    assert (again.handle, again.attempt) == (first.handle, first.attempt)
    assert again.health_message == ""


LIVENESS = """
[health.startup]
type = "http"
path = "/started"
interval = "1s"
failure_threshold = 100

[health.liveness]
type = "http"
path = "/alive"
interval = "100ms"
timeout = "100ms"
failure_threshold = 2
"""


def test_liveness_restarts_once_it_has_started(fabric: Fabric, tmp_path: Path) -> None:
    fabric.cli("deploy", manifest(tmp_path, "web", LIVENESS))
    first = the_one(fabric, "web")
    assert first.health == "unknown"
    (tmp_path / "alive").touch()
    (tmp_path / "started").touch()
    assert health(fabric, "web", "healthy").handle == first.handle, "it was not alive before, and nobody had asked"
    (tmp_path / "alive").unlink()
    again = until(
        lambda: next((one for one in fabric.instances("web", status="running") if one.attempt > 1), None),
        "it is restarted",
    )
    assert again.handle != first.handle
    assert again.exit is not None
    assert again.exit.reason == "unhealthy"
    assert "liveness probe failed 2 times in a row: GET /alive answers 503" in again.exit.text
    (tmp_path / "alive").touch()
    health(fabric, "web", "healthy")
