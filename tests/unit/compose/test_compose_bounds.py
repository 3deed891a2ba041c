"""Times of a Compose file that are longer than a spec's can be: cut to the longest, and told."""

from pathlib import Path

from omnitide.compose.importing import import_compose
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
    told = {(one.key, one.message) for one in imported.notes}
    assert any("stop_grace_period" in key and "longer than a day" in message for key, message in told), told
    assert any("timeout" in key and "longer than ten minutes" in message for key, message in told), told
