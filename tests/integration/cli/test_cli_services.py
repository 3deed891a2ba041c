"""`omnitide services`: a list like the others, of all namespaces or of one that there is."""

import json

from tests.integration.cli.fabric import MemoryFabric

from omnitide.model.spec import AgentSpec, Port
from omnitide.sdk import Client, Target
from support.fabric_processes import until


def test_services_of_all_namespaces_are_listed_with_theirs(fabric: MemoryFabric) -> None:
    with Client(Target(url=fabric.url, token=fabric.token.read_text())) as client:
        client.create_namespace("blue")
        for namespace in ("default", "blue"):
            client.deploy_agent("web", AgentSpec(command=("x",), ports={"http": Port()}), namespace=namespace)
    until(lambda: fabric.call(lambda runtime: len(runtime.state.instances)) == 2, "they are placed")
    head, *rows = (line.split() for line in fabric.cli("services").stdout.splitlines())
    assert head == ["NAMESPACE", "SERVICE", "PORT", "INSTANCE", "NODE", "ADDRESS", "READY"]
    assert [row[:4] for row in rows] == [["blue", "web", "http", "web-1.1"], ["default", "web", "http", "web-1.1"]]
    listed = json.loads(fabric.cli("services", "-o", "json").stdout)["items"]
    assert [(one["namespace"], one["name"]) for one in listed] == [("blue", "web"), ("default", "web")]
    (one,) = json.loads(fabric.cli("services", "blue/web", "-o", "json").stdout)["items"]
    assert one["endpoints"][0]["port_name"] == "http"
    assert "there is no namespace 'bleu'" in fabric.cli("services", "--namespace", "bleu", code=3).stderr
