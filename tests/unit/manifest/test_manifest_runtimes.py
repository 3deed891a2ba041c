"""What a spec has to have for its runtime, and what it cannot have."""

import jsonschema
import pytest

from omnitide.model.checks import spec_faults
from omnitide.model.faults import field_of
from omnitide.model.normalise import read
from omnitide.model.schema import agent_manifest_schema
from omnitide.model.spec import AgentSpec

IMAGE = {"driver": "docker", "container": {"image": "nginx:1.27"}}
PROCESS = {"command": ["serve"]}


def faults(document: object) -> list[str]:
    return [f"{field_of(fault.path)}: {fault.message}" for fault in spec_faults(read(document, AgentSpec))]


@pytest.mark.parametrize(
    "document",
    [
        PROCESS,
        IMAGE,
        {**IMAGE, "container": {"image": "r.example:5000/a/b@sha256:" + "0" * 64, "network": "shop"}},
        {**IMAGE, "ports": {"a": {"port": 53}, "b": {"port": 53, "protocol": "udp"}}},
        {**IMAGE, "ports": {"a": {"target": 80, "host_ip": "127.0.0.1"}, "b": {"target": 80, "host_ip": "::1"}}},
        {**IMAGE, "container": {"image": "a", "network": "host", "hostname": "here"}, "ports": {"a": {}}},
        {**IMAGE, "container": {"image": "a", "network": "shop", "aliases": ["cart", "cart.internal"]}},
        {**IMAGE, "container": {"image": "a", "ulimits": {"nofile": 9, "core": {"soft": 0, "hard": -1}}}},
        {**IMAGE, "volumes": {"data": {"target": "/data", "nocopy": True}}},
        {"driver": "wasm", "wasm": {"module": "hello.wasm"}, "volumes": {"data": {"target": "/data"}}},
        {"driver": "somebody-elses", "options": {"flavour": "blue"}},
        {**PROCESS, "isolation": "sandbox", "volumes": {"data": {"target": "/data"}}},
        {**PROCESS, "volumes": {"data": {"target": "data"}}},
        {**PROCESS, "ports": {"http": {}}, "health": {"readiness": {"type": "http"}}},
        {**PROCESS, "health": {"liveness": {"type": "exec", "command": ["true"]}}},
        {**PROCESS, "secrets": {"db": {"environment": "DB"}, "key": {"file": "tls/key.pem"}}},
        {**PROCESS, "update": {"max_unavailable": 0, "max_surge": 1}},
    ],
)
def test_what_fits_its_runtime_has_no_fault(document: object) -> None:
    assert faults(document) == []


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({}, "command: is missing"),
        ({"command": []}, "command: is missing"),
        ({"driver": "docker"}, "container: is missing: the driver 'docker' needs it"),
        ({"driver": "wasm"}, "wasm: is missing: the driver 'wasm' needs it"),
        ({**PROCESS, "container": {"image": "a"}}, "container: is for the driver 'docker', and this one is 'process'"),
        ({**IMAGE, "isolation": "sandbox"}, "isolation: is for the driver 'process'; 'docker' has its own"),
        ({**PROCESS, "ports": {"a": {"target": 80}}}, "ports.a.target: is for containers"),
        ({**PROCESS, "ports": {"a": {"host_ip": "127.0.0.1"}}}, "ports.a.host_ip: is for containers"),
        ({**IMAGE, "ports": {"a": {"host_ip": "localhost"}}}, "ports.a.host_ip: 'localhost' is no IP address"),
        (
            {**IMAGE, "container": {"image": "a", "network": "host"}, "ports": {"a": {"port": 8080, "target": 80}}},
            "ports.a.target: means nothing",
        ),
        (
            {**IMAGE, "container": {"image": "a", "network": "host"}, "ports": {"a": {"host_ip": "127.0.0.1"}}},
            "ports.a.host_ip: means nothing",
        ),
        (
            {**IMAGE, "container": {"image": "a", "network": "none"}, "ports": {"a": {}}},
            "ports.a: cannot be reached: container.network is 'none'",
        ),
        ({**IMAGE, "logs": {"max_age": "1h"}}, "logs.max_age: is not for containers"),
        ({**IMAGE, "container": {"image": "a", "aliases": ["b"]}}, "container.aliases: are names in a network"),
        (
            {**IMAGE, "container": {"image": "a", "ulimits": {"core": {"soft": 2, "hard": 1}}}},
            "container.ulimits.core.soft: is above the hard limit",
        ),
        ({**PROCESS, "volumes": {"v": {"target": "a", "nocopy": True}}}, "volumes.v.nocopy: is for a container's"),
        (
            {**IMAGE, "volumes": {"v": {"target": "/a", "source": "/b", "nocopy": True}}},
            "volumes.v.nocopy: is for a container's",
        ),
        ({**PROCESS, "health": {"readiness": {"type": "tcp"}}}, "health.readiness.port: is missing"),
        (
            {**PROCESS, "ports": {"a": {}}, "health": {"readiness": {"type": "tcp", "port": "b"}}},
            "health.readiness.port: 'b' is not one of `ports`",
        ),
        ({**PROCESS, "health": {"startup": {"type": "exec"}}}, "health.startup.command: is missing"),
        (
            {**PROCESS, "health": {"liveness": {"type": "exec", "command": ["a"], "path": "/x"}}},
            "health.liveness.path: is not for probes of type 'exec'",
        ),
        (
            {**PROCESS, "health": {"liveness": {"type": "exec", "command": ["a"], "success_threshold": 2}}},
            "health.liveness.success_threshold: is 1 here",
        ),
        (
            {**PROCESS, "health": {"liveness": {"type": "exec", "command": ["a"], "interval": "1h", "timeout": "11m"}}},
            "health.liveness.timeout: is longer than ten minutes",
        ),
        ({**IMAGE, "volumes": {"v": {"target": "data"}}}, "volumes.v.target: is an absolute path"),
        ({**IMAGE, "volumes": {"v": {"target": "/../etc"}}}, "volumes.v.target: is an absolute path"),
        ({**PROCESS, "volumes": {"v": {"target": "../up"}}}, "volumes.v.target: is below the instance's directory"),
        ({**PROCESS, "volumes": {"v": {"target": "a", "source": "b"}}}, "volumes.v.source: is an absolute path"),
        (
            {**IMAGE, "volumes": {"v": {"target": "/a"}, "w": {"target": "/a/"}}},
            "volumes.w.target: is the target of the volume 'v' already",
        ),
        (
            {**PROCESS, "artifacts": [{"source": "https://x.example/a", "path": "../a"}]},
            "artifacts[0].path: is below the instance's directory",
        ),
        ({**PROCESS, "secrets": {"s": {"file": "/etc/s"}}}, "secrets.s.file: is below the directory"),
        (
            {**PROCESS, "artifacts": [{"source": "https://x.example/a", "unpack": True, "executable": True}]},
            "artifacts[0].executable: is for a file, and this is unpacked",
        ),
        (
            {**PROCESS, "artifacts": [{"source": f"sha256:{'0' * 64}", "checksum": f"sha256:{'1' * 64}"}]},
            "artifacts[0].checksum: is not the blob's",
        ),
        (
            {**PROCESS, "secrets": {"a": {"file": "x"}, "b": {"file": "./x"}}},
            "secrets.b.file: is the file of secrets.a",
        ),
        (
            {**PROCESS, "secrets": {"a": {}, "b": {"file": "a/b"}}},
            "secrets.b.file: is in the way of the file of secrets.a",
        ),
        (
            {**IMAGE, "secrets": {"a": {"file": "/etc/x"}}, "configs": {"b": {"file": "/etc//x"}}},
            "configs.b.file: is the file of secrets.a",
        ),
        (
            {**IMAGE, "secrets": {"a": {}, "b": {"file": "/run/secrets/a"}}},
            "secrets.b.file: is the file of secrets.a",
        ),
        (
            {**IMAGE, "volumes": {"v": {"target": "/etc/x"}}, "configs": {"b": {"file": "/etc/x"}}},
            "configs.b.file: is the target of the volume 'v' already",
        ),
        (
            {**PROCESS, "secrets": {"s": {"environment": "S", "on_change": "SIGHUP"}}},
            "secrets.s.on_change: 'SIGHUP' is for files",
        ),
        (
            {**PROCESS, "configs": {"s": {"environment": "S", "on_change": "replace"}}},
            "configs.s.on_change: 'replace' is for files",
        ),
        (
            {**PROCESS, "environment": {"A": "b"}, "configs": {"c": {"environment": "A"}}},
            "configs.c.environment: A is set by environment already",
        ),
        ({**PROCESS, "options": {"flavour": "blue"}}, "options: is for drivers that others ship"),
        ({**PROCESS, "sandbox": {"network": False}}, "sandbox: is for isolation 'sandbox', and this is 'none'"),
        (
            {**PROCESS, "isolation": "sandbox", "volumes": {"v": {"target": "/usr/local/x"}}},
            "volumes.v.target: /usr/local/x is the system's",
        ),
        (
            {**PROCESS, "volumes": {"v": {"target": "v", "read_only": True}}},
            "volumes.v.read_only: cannot be kept: a plain process finds a volume as a link",
        ),
        ({**PROCESS, "isolation": "sandbox", "sandbox": {"writable": ["/etc"]}}, "sandbox.writable[0]: /etc is"),
        ({**PROCESS, "isolation": "sandbox", "working_directory": "/"}, "working_directory: / is the system's"),
        (
            {**PROCESS, "isolation": "sandbox", "sandbox": {"network": False}, "ports": {"http": {}}},
            "ports.http: cannot be reached: sandbox.network is false",
        ),
        (
            {
                "driver": "wasm",
                "wasm": {"module": "a.wasm"},
                "health": {"liveness": {"type": "exec", "command": ["true"]}},
            },
            "health.liveness.type: 'exec' is for programs",
        ),
        ({**PROCESS, "update": {"max_unavailable": 0}}, "update: with max_unavailable 0 and max_surge 0"),
    ],
)
def test_what_its_runtime_cannot_do_is_a_fault(document: object, fault: str) -> None:
    told = faults(document)
    assert len(told) == 1
    assert told[0].startswith(fault)


@pytest.mark.parametrize(
    "document", [{"name": "a"}, {"name": "a", "command": []}, {"name": "a", "driver": "docker", "command": ["x"]}]
)
def test_the_schema_asks_for_what_the_runtime_needs(document: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, agent_manifest_schema())
