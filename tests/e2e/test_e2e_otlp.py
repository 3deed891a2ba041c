"""One trace from a caller's own span to the instance that comes of its call, and logs and metrics beside it, sent by
OTLP from a real fabric."""

from collections.abc import Generator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from support.fabric_processes import Fabric, until
from support.otlp_receiver import GotSpan, Receiver, http_receiver

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
WAY = ("PUT ", "place ", "node session alpha", "start traced-1.1", "driver process")
"""Each stands under the one before."""


@pytest.fixture
def receiver() -> Generator[Receiver]:
    with http_receiver() as made:
        yield made


def test_a_trace_leads_from_the_caller_to_the_instance(
    receiver: Receiver, lone: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }.items():
        monkeypatch.setenv(key, value)
    lone.up()
    told = tmp_path / "told"
    spec = {"driver": "process", "command": ["sh", "-c", f"echo $TRACEPARENT >{told}; exec sleep 600"]}
    target = lone.target()
    headers = {
        "Authorization": f"Bearer {target.token}",
        "traceparent": f"00-{TRACE}-{CALLER}-01",
        "X-Request-Id": "deploy-42",
    }
    with httpx.Client(base_url=lone.url, verify=target.context() or False, trust_env=False) as client:
        answer = client.put("/v1/namespaces/default/agents/traced", json={"spec": spec}, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    correlation = answer.headers["omnitide-correlation"]
    assert correlation.startswith(f"{TRACE}-")
    assert correlation.endswith("-deploy-42")
    (instance,) = lone.running("traced", 1)
    assert instance.correlation == correlation

    def whole() -> dict[str, GotSpan] | None:
        found = {one.name: one for one in receiver.spans() if one.trace_id == TRACE}
        return found if all(any(name.startswith(word) for name in found) for word in WAY) else None

    found = until(whole, "the trace has come")
    way = [next(one for name, one in found.items() if name.startswith(word)) for word in WAY]
    assert way[0].parent_id == CALLER
    for above, below in pairwise(way):
        assert below.parent_id == above.span_id, f"{below.name} stands under {above.name}"
    command = found["command DeployAgent"]
    assert command.parent_id == way[0].span_id
    assert {found["decide"].parent_id, found["commit"].parent_id} == {command.span_id}
    assert {one.service for one in way[:3]} == {"omnitide-nexus"}
    assert {one.service for one in way[3:]} == {"omnitide-node"}
    assert all(one.start_ns <= one.end_ns and not one.failed for one in found.values())
    assert told.read_text().strip() == f"00-{TRACE}-{way[3].span_id}-01", "the instance goes on from there"

    def told_of() -> bool:
        record = next((one for one in receiver.records("omnitide-node") if one.trace_id.hex() == TRACE), None)
        return record is not None and "instance" in record.body.string_value

    until(told_of, "a record of the node has the trace")
    until(lambda: "omnitide_nodes" in receiver.metric_names("omnitide-nexus"), "metrics of Nexus")
    counter = until(
        lambda: receiver.metric_names("omnitide-node").get("omnitide_node_cpu_used_seconds_total"), "of the node"
    )
    assert counter.unit == "s"
    assert counter.sum.is_monotonic
