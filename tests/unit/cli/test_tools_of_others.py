"""What the command line writes for Prometheus and Grafana: valid by their own tools and schema."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from omnitide.cli.metrics.tools import PROVIDED, RULES, configuration
from support.prometheus import promtool

ROOT = Path(__file__).parents[3]
SCHEMA: dict[str, Any] = json.loads((ROOT / "integrations/grafana/schema/grafana-11.6.json").read_text())
DASHBOARDS = sorted((PROVIDED / "grafana").glob("*.json"))
names = [file.stem for file in DASHBOARDS]


def faults(schema: str, value: object) -> list[str]:
    return [f"{list(one.path)}: {one.message}" for one in jsonschema.Draft7Validator(SCHEMA[schema]).iter_errors(value)]


@pytest.mark.parametrize("url", ["https://nexus.example:7400", "https://[::1]:7400", "http://127.0.0.1:9", "https://n"])
@pytest.mark.parametrize("ca", [True, False])
def test_the_configuration_is_what_prometheus_takes(tmp_path: Path, url: str, ca: bool) -> None:
    (tmp_path / RULES).write_text((PROVIDED / "prometheus" / RULES).read_text())
    (tmp_path / "prometheus.yml").write_text(configuration(url, ca=ca, every_s=15))
    for name in ("token", "ca.pem"):
        (tmp_path / name).write_text("x")
    checked = promtool(
        "check", "config", "--lint=all", "--lint-fatal", "--syntax-only", str(tmp_path / "prometheus.yml")
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (scrape,) = YAML(typ="safe").load((tmp_path / "prometheus.yml").read_text())["scrape_configs"]
    assert ("tls_config" in scrape) == (ca and url.startswith("https"))
    assert scrape["authorization"]["type"] == "Bearer"


def test_promtool_finds_nothing_wrong_with_the_rules_and_each_alert_rings_when_it_should() -> None:
    rules = PROVIDED / "prometheus" / RULES
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tests = Path(__file__).parent / "alerts.test.yml"
    ran = promtool("test", "rules", str(tests))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    alerts = {
        rule["alert"]
        for one in YAML(typ="safe").load(rules.read_text())["groups"]
        for rule in one["rules"]
        if "alert" in rule
    }
    tried = {
        one["alertname"]
        for test in YAML(typ="safe").load(tests.read_text())["tests"]
        for one in test["alert_rule_test"]
        if one.get("exp_alerts")
    }
    assert alerts == tried, "each alert has a case in which it rings"


@pytest.mark.parametrize("file", DASHBOARDS, ids=names)
def test_a_dashboard_is_what_grafana_knows(file: Path) -> None:
    document = json.loads(file.read_text())
    assert faults("dashboard", document) == []
    for panel in document["panels"]:
        if panel["type"] == "row":
            continue
        assert faults(f"{panel['type']}-options", panel.get("options", {})) == [], panel["title"]
        if panel["type"] == "timeseries":
            assert faults("timeseries-field", panel["fieldConfig"]["defaults"]["custom"]) == [], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        ids = [target["refId"] for target in panel["targets"]] if len(panel["targets"]) > 1 else []
        assert len(set(ids)) == len(ids), "no two queries of a panel are called the same"


def test_the_schema_would_find_what_grafana_does_not_know() -> None:
    document = json.loads(DASHBOARDS[0].read_text())
    document["panels"][0]["gridPos"]["depth"] = 3
    assert faults("dashboard", document)


def test_the_dashboards_are_those_that_the_code_makes(tmp_path: Path) -> None:
    program = "import dashboards, pathlib; dashboards.WRITTEN = pathlib.Path('.'); dashboards.main()"
    path = os.pathsep.join([str(ROOT / "integrations/grafana")])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=60)
    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_text() for file in DASHBOARDS}, "run make dashboards"
