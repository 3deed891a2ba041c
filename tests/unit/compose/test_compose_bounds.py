"""Times of a Compose file that are longer than a spec's can be: cut to the longest, and told."""

from pathlib import Path

import pytest

from omnitide.compose.importing import import_compose
from omnitide.compose.report import Imported
from omnitide.model.manifest import ManifestError
from omnitide.model.probes import MAX_TIMEOUT_MS
from omnitide.model.spec import MAX_GRACE_MS

FILE = """
services:
  web:
    image: nginx
    stop_grace_period: 36h
    healthcheck:
      test: ["CMD", "true"]
      interval: 1h
      timeout: 30m
"""


def test_a_time_that_is_too_long_is_cut_and_told(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(FILE)
    imported = import_compose([str(file)], {}, name="shop")
    (agent,) = imported.agents
    readiness = agent.health.readiness
    assert readiness is not None
    assert (readiness.interval, readiness.timeout, agent.stop.grace) == (3_600_000, MAX_TIMEOUT_MS, MAX_GRACE_MS)
    assert [(one.key, one.message) for one in imported.losses] == [
        ("services.web.stop_grace_period", "1 d 12 h: 1 d is the most that it can be here"),
        ("services.web.healthcheck.timeout", "30 m: 10 m is the most that it can be here"),
    ]


def imported(folder: Path, service: str) -> Imported:
    file = folder / "compose.yaml"
    file.write_text(f"services: {{web: {{image: nginx, {service}}}}}")
    return import_compose([str(file)], {}, name="shop")


@pytest.mark.parametrize("number", ["1e99999999", "1e-99999999", "9" * 5000, "0x1p9999", "1/3", "inf", "nan"])
@pytest.mark.parametrize("place", ["cpus: {}", "deploy: {{resources: {{limits: {{cpus: {}}}}}}}"])
def test_no_number_of_processors_is_worked_out_that_could_be_large(tmp_path: Path, number: str, place: str) -> None:
    with pytest.raises(ManifestError) as refused:
        imported(tmp_path, place.format(f'"{number}"'))
    (fault,) = refused.value.faults
    assert len(fault.message) < 200


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_port_of_thousands_of_digits_is_no_port(tmp_path: Path, quote: str) -> None:
    digits = quote + "9" * 5000 + quote
    made = imported(tmp_path, f"ports: [{{target: 80, published: {digits}}}]")
    (port,) = made.agents[0].ports.values()
    assert port.port == 0
    (lost,) = [one for one in made.losses if "published" in one.key]
    assert len(lost.message) < 200


@pytest.mark.parametrize(
    ("action", "does", "lost"), [("rollback", "rollback", 0), ("pause", "halt", 0), ("continue", "halt", 1)]
)
def test_what_becomes_of_a_failed_update(tmp_path: Path, action: str, does: str, lost: int) -> None:
    made = imported(tmp_path, f"deploy: {{update_config: {{failure_action: {action}}}}}")
    assert made.agents[0].update.on_failure == does
    assert sum("failure_action" in one.key for one in made.losses) == lost
