"""`omnitide metrics prometheus` and `grafana`, and the token that goes with them."""

import json
import os
from pathlib import Path

import pytest
from tests.integration.cli.fabric import MemoryFabric


def test_a_folder_gets_all_that_prometheus_needs_and_keeps_its_token(fabric: MemoryFabric, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "prometheus"
    shown = fabric.cli("metrics", "prometheus", str(folder), "--interval", "30s").stdout
    assert f"prometheus --config.file={folder}/prometheus.yml" in shown
    assert sorted(path.name for path in folder.iterdir()) == ["omnitide.rules.yml", "prometheus.yml", "token"]
    assert f"{fabric.url}/metrics/targets" in (folder / "prometheus.yml").read_text()
    assert "scrape_interval: 30s" in (folder / "prometheus.yml").read_text()
    token = folder / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    before = token.read_text()
    fabric.cli("metrics", "prometheus", str(folder))
    assert token.read_text() == before, "a second call makes no second token"
    listed = json.loads(fabric.cli("token", "list", "--purpose", "metrics", "-o", "json").stdout)["items"]
    assert [one["purpose"] for one in listed] == ["metrics"]
    assert str(folder) in listed[0]["note"]


def test_without_a_folder_the_configuration_is_printed_and_nothing_else(fabric: MemoryFabric) -> None:
    ran = fabric.cli("metrics", "prometheus")
    assert ran.stdout.startswith("# Prometheus for the Omnitide fabric at http://127.0.0.1:")
    assert "omnitide metrics prometheus DIR" in ran.stderr
    assert json.loads(fabric.cli("token", "list", "--purpose", "metrics", "-o", "json").stdout)["items"] == []


@pytest.mark.parametrize("interval", ["1s", "1h", "often"])
def test_an_interval_that_makes_no_sense_is_refused(fabric: MemoryFabric, interval: str, tmp_path: Path) -> None:
    refused = fabric.cli("metrics", "prometheus", str(tmp_path / "p"), "--interval", interval, code=2)
    assert "--interval" in refused.stderr
    assert not (tmp_path / "p").exists()


def test_a_place_where_nothing_can_be_written_is_told(fabric: MemoryFabric, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for words in (("prometheus", "--no-token"), ("grafana",)):
        refused = fabric.cli("metrics", *words, str(tmp_path / "file" / "below"), code=1)
        assert "Not a directory" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_dashboards_are_written_by_name(fabric: MemoryFabric, tmp_path: Path) -> None:
    shown = fabric.cli("metrics", "grafana", str(tmp_path / "d")).stdout
    assert "omnitide-fabric.json  Omnitide / Fabric" in shown
    files = sorted((tmp_path / "d").iterdir())
    assert [json.loads(file.read_text())["uid"] for file in files] == [file.stem for file in files]


def test_a_token_for_metrics_is_no_other(fabric: MemoryFabric, tmp_path: Path) -> None:
    made = tmp_path / "token"
    made.write_text(fabric.cli("token", "create", "--metrics", "-q").stdout)
    os.chmod(made, 0o600)
    assert "one of them" in fabric.cli("token", "create", "--metrics", "--api", code=2).stderr
    assert "--uses is of join tokens" in fabric.cli("token", "create", "--metrics", "--uses", "2", code=2).stderr
    own = fabric.token
    fabric.token = made
    fabric.cli("metrics", "ls")
    assert "reads metrics and nothing else" in fabric.cli("nodes", code=6).stderr
    fabric.token = own
