"""A value that is rotated restarts what asks for that: no failure, and told as what it is."""

import json
from pathlib import Path

from support.fabric_processes import Fabric, until


def test_a_rotation_that_restarts_is_no_end_of_its_own(fabric: Fabric, tmp_path: Path) -> None:
    manifest = tmp_path / "rotated.toml"
    manifest.write_text(
        'name = "rotated"\ncommand = ["sleep", "1000"]\n[configs.key]\nenvironment = "KEY"\non_change = "restart"\n'
    )
    fabric.cli("config", "set", "key", stdin="0")
    fabric.cli("deploy", str(manifest))
    (one,) = fabric.running("rotated", 1)
    for value in (1, 2, 3):
        fabric.cli("config", "set", "key", stdin=str(value))

        def again(attempt: int = value + 1) -> bool:
            now = fabric.client.get_instance(one.id)
            return now.status == "running" and now.attempt == attempt

        until(again, "it runs with the new value")
    status = json.loads(fabric.cli("status", "-o", "json").stdout)
    assert [concern for concern in status["concerns"] if "rotated" in concern["subject"]] == []
    explained = fabric.cli("explain", "rotated").stdout
    assert "Nothing stands in the way" in explained, explained
    assert "was stopped for a new version of config key" in explained
    assert "attempt 3 was stopped for a new version of config key" in fabric.cli("explain", one.name).stdout
    told = fabric.cli("events", "--tail", "60").stdout
    assert told.count("was stopped for a new version of config key; starts again") == 3
