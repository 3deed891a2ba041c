"""What is followed (logs, events), and what is read by programs (json, yaml, schema, completion)."""

import json
import os
import re
import signal

import pytest
import yaml

from support.fabric_processes import EXAMPLES, Fabric, until

WORKER = str(EXAMPLES / "worker.yaml")


def test_logs_are_followed_over_replicas_with_their_names(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER)
    found = fabric.running("worker", 2)
    assert {one.node for one in found} == {"alpha", "beta"}
    with fabric.beside("logs", "-f", "worker") as logs:
        for one in found:
            line = re.compile(rf"^{one.name} .*tick 2$", re.MULTILINE)
            logs.until(lambda out, line=line: line.search(out), f"{one.name}'s lines")
    (first, second) = found
    one = fabric.cli("logs", first.name).stdout
    assert "tick 1" in one
    assert second.name not in one


def begun(text: str) -> int:
    """How many attempts have begun to write."""
    return len(re.findall(r"tick 1$", text, re.MULTILINE))


def kill(fabric: Fabric, instance: str) -> None:
    """Kill an attempt, and wait for the next one."""
    now = fabric.client.get_instance(instance)
    os.kill(int(now.handle), signal.SIGKILL)

    def again() -> bool:
        found = fabric.client.get_instance(instance)
        return found.status == "running" and found.attempt > now.attempt

    until(again, "the next attempt runs")


def test_the_output_of_all_attempts_is_kept(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER, "--replicas", "1")
    (one,) = fabric.running("worker", 1)
    until(lambda: "tick 1" in fabric.cli("logs", one.name).stdout, "it has begun")
    kill(fabric, one.id)
    until(lambda: begun(fabric.cli("logs", one.name).stdout) == 2, "both are kept")


def test_logs_are_followed_through_kills(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER, "--replicas", "1")
    (one,) = fabric.running("worker", 1)
    with fabric.beside("logs", "-f", "worker") as logs:
        logs.until(lambda out: "tick 1" in out, "its first attempt")
        for attempt in (2, 3):  # the third attempt waits out a back-off, so that nothing runs for a while
            kill(fabric, one.id)
            until(lambda wanted=attempt: begun(fabric.cli("logs", one.name).stdout) == wanted, "it has written")
        until(lambda: begun(logs.out) == 3, "all three attempts are shown", 10)


def test_events_are_followed_and_resume_from_a_revision(fabric: Fabric) -> None:
    start = fabric.client.get_fabric().revision
    with fabric.beside("events", "-f", "--after", str(start), "-o", "json") as events:
        fabric.cli("deploy", WORKER, "--replicas", "1")
        events.until(lambda out: "omnitide.instance.running" in out, "it runs")
        fabric.cli("scale", "worker", "0")
        events.until(lambda out: "omnitide.instance.ended" in out or "omnitide.instance.stopped" in out, "it ends")
        live = [json.loads(line) for line in events.out.splitlines() if line.endswith("}")]
    middle = live[len(live) // 2]["revision"]
    again = fabric.cli("events", "--after", str(middle), "-o", "json").stdout
    resumed = [json.loads(line)["id"] for line in again.splitlines()]
    assert [event["id"] for event in live if event["revision"] > middle] == resumed[
        : len([e for e in live if e["revision"] > middle])
    ]
    assert len({event["id"] for event in live}) == len(live)


@pytest.mark.parametrize(
    "words",
    [
        "nodes",
        "agents",
        "ps",
        "jobs",
        "token list",
        "namespace list",
        "status",
        "config show",
        "version",
        "inspect alpha",
    ],
)
def test_what_is_shown_is_also_json_and_yaml(fabric: Fabric, words: str) -> None:
    in_json = json.loads(fabric.cli(*words.split(), "-o", "json").stdout)
    in_yaml = yaml.safe_load(fabric.cli(*words.split(), "-o", "yaml").stdout)
    assert in_json
    assert in_json == in_yaml or in_json.keys() == in_yaml.keys()


def test_settings_show_their_source(fabric: Fabric) -> None:
    """Of each kind one, with the value that this source gave it and no other source gives."""
    file = fabric.folder / "settings.toml"
    file.write_text('[lease]\nlost_after_ms = "7s"\nkeepalive_ms = 900\n[log]\nlevel = "debug"\n')
    told = {"OMNITIDE_LEASE_LOST_AFTER_MS": "8s", "OMNITIDE_NODE_DATA_DIR": "/elsewhere"}
    shown = fabric.cli("config", "show", "-o", "json", "--config", str(file), environment=told).stdout
    rows = {row["key"]: (row["value"], row["source"]) for row in json.loads(shown)}
    assert rows["nexus.data_dir"] == (str(fabric.data() / "nexus"), "flag --data")
    assert rows["node.data_dir"] == (str(fabric.data() / "node"), "flag --data"), "stronger than the variable"
    assert rows["lease.lost_after_ms"] == (8000, "environment OMNITIDE_LEASE_LOST_AFTER_MS"), "stronger than the file"
    assert rows["lease.keepalive_ms"] == (900, f"{file}:3")
    assert rows["log.level"] == ("debug", f"{file}:5")
    assert rows["lease.reconnect_grace_ms"][1] == "default"
    assert rows["nexus.api_port"] == (0, "flag --api-port, kept by up")
    assert {source for _, source in rows.values()} > {"default", "flag --data"}
    table = fabric.cli("config", "show", "--changed", "--config", str(file), environment=told).stdout
    assert re.search(r"lease\.lost_after_ms +8 s +environment OMNITIDE_LEASE_LOST_AFTER_MS", table), table
    assert "lease.reconnect_grace_ms" not in table


def test_schema_and_completion(fabric: Fabric) -> None:
    schema = json.loads(fabric.cli("schema", "agent").stdout)
    assert "command" in json.dumps(schema)
    for shell in ("bash", "zsh", "fish"):
        assert "omnitide" in fabric.cli("completion", "show", shell).stdout
