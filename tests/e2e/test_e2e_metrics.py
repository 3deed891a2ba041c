"""Metrics through the installed command: from the kernel and an agent's own endpoint to a question and its answer."""

import json
import sys
from pathlib import Path

import psutil

from omnitide.model.metrics import MetricAnswer
from support.fabric_processes import Fabric, until

SERVER = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    hits = 0
    def do_GET(self):
        if os.path.exists(__file__ + ".broken"):
            return self.send_error(503)
        Handler.hits += 7
        many = "".join(f'many{{number="{number}"}} 1\\n' for number in range(1500))
        hits = f'hits_total{{instance="mine"}} {Handler.hits}\\n'
        kinds = "# TYPE room gauge\\nroom 42\\n# TYPE many gauge\\n"
        body = ("# HELP hits_total Questions.\\n# TYPE hits_total counter\\n" + hits + kinds + many).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
held = bytearray(40 << 20)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()
"""

MANIFEST = """
name = "web"
command = ["{python}", "{script}"]

[ports]
http = {{}}

[metrics]
path = "/metrics"
interval = "1s"
"""


def known(answer: MetricAnswer) -> list[float]:
    return [value for one in answer.items for value in one.values if value is not None]


def test_what_a_node_and_an_agent_use_can_be_asked_for(fabric: Fabric, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    manifest = tmp_path / "web.toml"
    manifest.write_text(MANIFEST.format(python=sys.executable, script=script))
    fabric.cli("deploy", str(manifest))
    client = fabric.client

    def asked(name: str, **more: object) -> list[float] | None:
        # A question about the newest seconds of few nodes has them send each second; here of both.
        client.query_metrics("omnitide_node_load1", start_ms=-15_000, step_ms=1000)
        return known(client.query_metrics(name, start_ms=-60_000, step_ms=1000, **more)) or None  # type: ignore[arg-type]

    total = until(lambda: asked('omnitide_node_memory_total_bytes{node="alpha"}'), "the node's memory is known")
    assert abs(total[-1] - psutil.virtual_memory().total) < 1 << 20
    assert until(lambda: asked("omnitide_node_cpu_used_seconds_total", by=("node",)), "processors are in use")

    def holds() -> bool:
        # The first second of it may be one in which it has not come so far.
        used = asked("omnitide_instance_memory_working_set_bytes", by=("agent", "namespace"))
        return used is not None and max(used) > 40 << 20

    until(holds, "the agent holds 40 MiB")
    rate = until(lambda: asked('hits_total{agent="web"}'), "the agent's own counter")
    assert all(6 <= one <= 36 for one in rate), "7 more each second, whatever the pause was"
    (series,) = client.query_metrics("room", by=("*",)).items
    assert series.labels.items() >= {"agent": "web", "namespace": "default"}.items()
    (hits,) = client.query_metrics("hits_total").items
    assert hits.labels["exported_instance"] == "mine"
    assert hits.labels["instance"].startswith("web-1.")

    def left_out() -> list[float] | None:
        found = asked("omnitide_instance_scrape_dropped_series", aggregate="last")
        return found if found and found[-1] > 0 else None

    assert until(left_out, "what was left out is told")[-1] == 502, "of 1,502 series 1,000 are taken"
    (instance,) = fabric.instances("web", status="running")
    assert client.get_instance(instance.id).dropped_series == 502
    told = "".join(path.read_text(errors="replace") for path in fabric.folder.rglob("*.log"))
    assert "many (502)" in told, "of which metric, in the node's log"

    broken = script.with_name("server.py.broken")
    broken.touch()
    why = "GET /metrics answers 503"
    until(lambda: client.get_instance(instance.id).metrics_fault == why, "that its endpoint gives nothing, and why")
    for command in (("inspect", instance.name), ("explain", instance.name), ("explain", "web")):
        assert why in fabric.cli(*command).stdout, command
    broken.unlink()
    until(lambda: not client.get_instance(instance.id).metrics_fault, "that it is read again")

    listed = json.loads(fabric.cli("metrics", "ls", "omnitide_instance_scrape", "-o", "json").stdout)
    assert {one["name"] for one in listed["items"]} == {
        f"omnitide_instance_scrape_{what}" for what in ("up", "duration_seconds", "dropped_series")
    }
    shown = fabric.cli("metrics", "query", 'room{agent="web"}', "--since", "1m", "-a", "max").stdout
    assert "room  max" in shown
    assert "42" in shown
    assert "█" in shown
    refused = fabric.cli("metrics", "query", "room", "-m", "agent=~(a+)+", code=2)
    assert "a group cannot be repeated" in refused.stderr
