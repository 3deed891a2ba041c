"""Both clients have every operation of the registry; one is made from the other, and is up to date."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

from omnitide.operations.registry import REGISTRY
from omnitide.sdk.async_client import AsyncClient, AsyncEventWatch, AsyncViewWatch
from omnitide.sdk.client import Client, EventWatch, ViewWatch

ROOT = Path(__file__).parents[3]
WITHOUT_RPC = {
    "health.live": "check_live",
    "health.ready": "check_ready",
    "join.ca": "get_ca",
    "blobs.list": "list_blobs",
    "blobs.put": "put_blob",
    "blobs.get": "get_blob",
    "blobs.remove": "remove_blob",
    "services.list": "list_services",
    "services.get": "get_service",
    "view.watch": "watch_view",
    "changes.foresee": "foresee_changes",
}
TWO_WAYS = {"exec_instance", "forward_instance"}
"""Talks in both directions at once, which need an event loop."""
NOT_FOR_CLIENTS = {
    "join.node",
    "sessions.open",
    "sessions.read",
    "sessions.close",
    "manifests.read",
    "manifests.write",
    "metrics.use",
}
"""A node joins through `omnitide.security.join`, which checks who it talks to before it sends its token. Sessions are
for browsers: programs have tokens. Texts are read for the panel's editor: programs read files themselves
(`omnitide.sdk.manifests`)."""


def methods(cls: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(cls, callable)
        if not name.startswith("_") and name not in ("find", "close")
    }


def test_every_operation_is_a_method() -> None:
    for operation in REGISTRY:
        if operation.name in NOT_FOR_CLIENTS:
            continue
        name = WITHOUT_RPC.get(operation.name) or re.sub(r"(?<!^)(?=[A-Z])", "_", operation.rpc).lower()
        assert callable(getattr(Client, name, None)), f"{operation.name} should be Client.{name}"


def test_every_method_asks_for_a_path_that_an_operation_answers() -> None:
    import omnitide.sdk.calls as calls

    known = {(one.method, re.sub(r"\{[a-z_]+\}", "*", one.path)) for one in REGISTRY}
    samples = {"limit": 1, "dry_run": False, "spec": None, "filters": {}, "kinds": (), "labels": None, "uses": 1}
    for name, function in inspect.getmembers(calls, inspect.isfunction):
        if name.startswith("_") or name in ("text_of", "watch_query", "present", "quote", "field"):
            continue
        from omnitide.model.spec import AgentSpec, JobSpec

        arguments = {}
        for parameter in inspect.signature(function).parameters:
            spec = JobSpec(command=("x",)) if name == "run_job" else AgentSpec(command=("x",))
            numbers = ("nodes", "after", "skip", "last", "since_ms", "replicas")
            verb = "cordon" if name == "change_node" else "restart"
            special = {"spec": spec, "verb": verb, "if_match": None, "min_revision": None, "tail": None, "ttl": None}
            default = 1 if parameter in numbers else "*"
            arguments[parameter] = special.get(parameter, samples.get(parameter, default))
        call = function(**arguments)
        path = call.path.replace("%2A", "*")
        if name == "files":
            continue  # no operation: a stream of bytes, see omnitide.operations.reaching
        assert (call.method, path) in known, f"{name} asks for {call.method} {path}"


def test_the_client_without_an_event_loop_is_what_the_other_one_makes_today(tmp_path: Path) -> None:
    (tmp_path / "gone.py").write_text("")
    subprocess.run([sys.executable, "scripts/unasync.py", str(tmp_path)], cwd=ROOT, check=True, timeout=100)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in (ROOT / "src/omnitide/sdk/synchronous").glob("*.py")}
    assert sorted(made) == sorted(kept)
    stale = [name for name, text in made.items() if text != kept[name]]
    assert stale == [], "run python scripts/unasync.py"
    waiting = [name for name, text in made.items() if re.search(r"^ *async |await \w", text, re.MULTILINE)]
    assert waiting == []


def test_the_two_flavours_have_the_same_methods() -> None:
    sync, other = methods(Client), methods(AsyncClient)
    assert sync.keys() == other.keys() - TWO_WAYS
    for name, signature in sync.items():
        taken = [
            [str(one).replace("Async", "") for one in flavour.parameters.values()]
            for flavour in (signature, other[name])
        ]
        assert taken[0] == taken[1], name
        returned = [str(one.return_annotation).replace("Async", "") for one in (signature, other[name])]
        assert returned[0] == returned[1], name
    for watch, other_watch in ((EventWatch, AsyncEventWatch), (ViewWatch, AsyncViewWatch)):
        assert methods(watch).keys() == methods(other_watch).keys()


def test_loading_the_client_does_not_load_what_it_does_not_need() -> None:
    program = "import sys, omnitide.sdk.client; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(ran.stdout.split())
    heavy = {"rich", "pygments", "grpc", "numpy", "rocksdict", "starlette", "cryptography", "typer", "click"}
    assert heavy & loaded == set()
    ours = {name for name in loaded if name.startswith("omnitide.")}
    assert {name.split(".")[1] for name in ours} == {"sdk", "model"}
