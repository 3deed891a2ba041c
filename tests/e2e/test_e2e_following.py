"""What is followed (logs, events), and what is read by programs (json, yaml, schema, completion)."""

import json
import os
import re
import signal

import pytest
import yaml

from support.fabric_processes import EXAMPLES, Fabric

WORKER = str(EXAMPLES / "worker.yaml")


def test_logs_are_followed_over_replicas_and_through_a_kill(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER)
    first, second = sorted(fabric.running("worker", 2), key=lambda one: one.slot)
    assert {first.node, second.node} == {"alpha", "beta"}
    with fabric.beside("logs", "-f", "worker") as logs:
        for one in (first, second):
            logs.until(lambda out, name=one.name: re.search(rf"{name}.*tick 1\b", out), f"{one.name} with its prefix")
        before = len(logs.out)
        os.kill(int(first.handle), signal.SIGKILL)
        logs.until(lambda out: re.search(rf"{first.name}.*tick 1\b", out[before:]), "its next attempt is followed too")
    told = fabric.cli("logs", first.name).stdout
    assert len(re.findall(r"tick 1\b", told)) == 2, "both attempts are kept"


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
    shown = fabric.cli("config", "show").stdout
    assert re.search(r"node\.port_range.*OMNITIDE_NODE_PORT_RANGE", shown), shown


def test_schema_and_completion(fabric: Fabric) -> None:
    schema = json.loads(fabric.cli("schema", "agent").stdout)
    assert "command" in json.dumps(schema)
    for shell in ("bash", "zsh", "fish"):
        assert "omnitide" in fabric.cli("completion", "show", shell).stdout
