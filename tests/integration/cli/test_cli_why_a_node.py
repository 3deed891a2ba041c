"""Why a node is as it is, where people look for it: `explain` of its name, and the head of `nodes show`."""

import io

from ruamel.yaml import YAML
from tests.integration.cli.fabric import MemoryFabric

MANIFEST = 'name = "hello"\ncommand = ["x"]\nreplicas = 2\n[resources]\ncpu = 3.0\n'


def test_explain_of_a_nodes_name_says_what_tells_of_it(fabric: MemoryFabric) -> None:
    said = fabric.cli("explain", "alpha", code=3).stderr
    assert said == "error: alpha is a node, and neither an agent nor a job\nhint:  omnitide nodes show alpha\n"
    said = fabric.cli("explain", "zzz", code=3).stderr
    assert said == "error: there is no agent default/zzz\nhint:  omnitide agents\n"


def test_a_node_that_is_shown_says_first_why_it_wants_an_eye(fabric: MemoryFabric) -> None:
    (fabric.folder / "hello.toml").write_text(MANIFEST)
    fabric.cli("deploy", "hello.toml")
    assert fabric.cli("nodes", "show", "alpha").stdout.startswith("id: n-alpha\n")
    fabric.cli("nodes", "cordon", "beta")
    fabric.cli("drain", "alpha", "--no-wait")
    shown = fabric.cli("nodes", "show", "alpha").stdout
    first, second, *_ = shown.splitlines()
    assert first.startswith("# it is being drained, and hello-1.1 stays, which fits nowhere else: ")
    assert second.startswith("# add a node that can take it")
    yaml = YAML(typ="safe", pure=True)
    assert yaml.load(io.StringIO(shown))["name"] == "alpha"
    assert fabric.cli("nodes", "show", "alpha", "-o", "json").stdout.startswith("{")
