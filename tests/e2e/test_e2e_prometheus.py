"""A real Prometheus over what one command writes for it: it finds Nexus and the nodes, scrapes them, and answers every
question of the rules and the dashboards."""

import contextlib
import json
import re
import socket
import sys
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from support.fabric_processes import Fabric, until
from support.prometheus import Prometheus, promtool, running

DASHBOARDS = ("agents", "fabric", "nodes")
VARIABLES = {"$__rate_interval": "1m", "$node": ".*", "$namespace": ".*", "$agent": ".*"}
BUSY = "x = 0\nwhile True: x += 1\n"
SCRAPES_S = 30
TOLD_BY_AGENTS = ("many no help text", "room no help text")


@pytest.fixture
def folder(fabric: Fabric, tmp_path: Path) -> Path:
    """As `omnitide metrics prometheus` writes it, but that a test cannot wait a quarter of a minute for each scrape."""
    folder = tmp_path / "prometheus"
    fabric.cli("metrics", "prometheus", str(folder))
    configuration = folder / "prometheus.yml"
    text = configuration.read_text()
    assert "scrape_interval: 15s" in text
    configuration.write_text(text.replace("_interval: 15s", "_interval: 1s"))
    return folder


@pytest.fixture
def prometheus(fabric: Fabric, folder: Path, tmp_path: Path) -> Generator[Prometheus]:
    manifest = tmp_path / "busy.toml"
    manifest.write_text(f'name = "busy"\ncommand = ["{sys.executable}", "-c", {json.dumps(BUSY)}]\n')
    fabric.cli("deploy", str(manifest))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(folder / "prometheus.yml", port) as made:
        yield made


def test_it_finds_scrapes_and_answers(fabric: Fabric, folder: Path, prometheus: Prometheus) -> None:
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    checked = promtool("check", "config", str(folder / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr

    def found() -> bool:
        # Somebody looks at the nodes: they send each second.
        fabric.client.query_metrics("omnitide_node_load1", start_ms=-5_000, step_ms=1000)
        up = {one["metric"]["instance"]: one["value"][1] for one in prometheus.query("up")}
        return up.keys() >= {"alpha", "beta"} and set(up.values()) == {"1"}

    until(found, "Nexus and both nodes are scraped")
    targets = {one["labels"]["instance"]: one for one in prometheus.get("targets")["activeTargets"]}
    assert targets["alpha"]["labels"]["role"] == "node"
    assert targets["alpha"]["scrapeUrl"].endswith("/metrics/nodes/alpha")

    def used() -> list[float]:
        fabric.client.query_metrics("omnitide_node_load1", start_ms=-5_000, step_ms=1000)
        return [float(one["value"][1]) for one in prometheus.query('agent:omnitide_cpu_used_cores:sum{agent="busy"}')]

    assert 0 < until(used, "a recording rule has recorded")[0] < 1.5, "one that does nothing but count"
    (live,) = prometheus.query('sum(omnitide_nodes{status="live"})')
    assert live["value"][1] == "2"
    (instance,) = prometheus.query('omnitide_instance_attempt{agent="busy"}')
    assert instance["metric"]["instance"] == "busy-1.1", "its own labels are kept"

    def healths() -> set[str]:
        return {rule["health"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]}

    until(lambda: healths() == {"ok"}, "each rule has been asked, and has an answer")
    (known,) = prometheus.get("metadata", metric="omnitide_node_cpu_used_seconds")["omnitide_node_cpu_used_seconds"]
    assert (known["type"], known["unit"]) == ("counter", "seconds"), "units are told in OpenMetrics alone"

    headers = {"Authorization": f"Bearer {(folder / 'token').read_text().strip()}"}
    with httpx.Client(base_url=fabric.url, verify=fabric.target().context() or False, headers=headers) as client:
        for page in ("/metrics", "/metrics/nodes/alpha"):
            checked = promtool("check", "metrics", stdin=client.get(page).text)
            # What an agent of another test tells of itself is as it tells it: without a word of help.
            left = [line for line in checked.stderr.splitlines() if line not in TOLD_BY_AGENTS]
            assert not left, f"{page}: {left}"
            assert checked.returncode == (3 if checked.stderr else 0), page
            found = client.get(page, headers={"Accept": "application/openmetrics-text"})
            assert list(text_string_to_metric_families(found.text)), (
                "it is OpenMetrics, by the strictest of its parsers"
            )
        assert client.get("/v1/nodes").status_code == 403, "the token reads metrics and nothing else"

    fabric.cli("metrics", "grafana", str(folder / "dashboards"))
    files = sorted((folder / "dashboards").iterdir())
    assert [file.name for file in files] == [f"omnitide-{name}.json" for name in DASHBOARDS]

    def empty() -> list[str]:
        return [expression for file in files for expression in _empty(prometheus, file)]

    with contextlib.suppress(AssertionError):
        until(lambda: not empty(), "no panel is empty")
    assert not empty()


def _empty(prometheus: Prometheus, file: Path) -> list[str]:
    """Questions of a dashboard that have no answer, each asked as Grafana does."""
    name, document = file.stem, json.loads(file.read_text())
    left: list[str] = []
    for panel in document["panels"]:
        for target in [*panel.get("targets", []), *(t for one in panel.get("panels", []) for t in one["targets"])]:
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            assert "$" not in expression
            answered = prometheus.query(expression) if target.get("instant") else None
            if not (answered or prometheus.query_range(expression, SCRAPES_S)):
                left.append(f"{name} / {panel['title']}: {expression}")
    for variable in document["templating"]["list"]:
        asked = re.fullmatch(r"label_values\((.*), (\w+)\)", str(variable.get("query", "")))
        if asked is not None and not prometheus.query(asked[1].replace("$namespace", ".*")):
            left.append(f"{name} / variable {variable['name']}")
    return left
