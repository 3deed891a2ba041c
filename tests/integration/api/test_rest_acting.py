"""What the panel's editor, previews and imports ask of Nexus, over a real server."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from tests.support.served_api import SPEC, Served, is_problem

from omnitide.api import compose_imports
from omnitide.fabric import commands as cm

AGENT = "/v1/namespaces/default/agents/hello"


async def imported(served: Served, text: str, *more: tuple[str, str], **fields: Any) -> dict[str, Any]:
    files = [{"path": path, "text": said} for path, said in (("compose.yaml", text), *more)]
    asked = {"files": files, "compose": ["compose.yaml"], **fields}
    response = await served.client.post("/v1/imports/compose", json=asked)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_text_is_read_as_its_agents_or_as_its_faults_at_their_lines(served: Served) -> None:
    async def read(text: str, form: str = "yaml") -> dict[str, Any]:
        return (await served.client.post("/v1/manifests", json={"text": text, "format": form})).json()

    found = (await read("name: a\ncommand: [x]\nreplicas: 2\n---\nname: b\nnamespace: team\ncommand: [y]\n"))["agents"]
    assert [(one["name"], one["namespace"], one["replicas"], one["line"]) for one in found] == [
        ("a", "", 2, 1),
        ("b", "team", None, 5),
    ]
    assert found[0]["spec"] == {"command": ["x"]}
    faults = (await read('name = "a"\ncommand = ["x"]\n\n[resources]\nmemry = 3\n', "toml"))["faults"]
    assert [(one["line"], one["field"], one["hint"]) for one in faults] == [
        (5, "resources.memry", "did you mean 'memory'?")
    ]
    asked = {"text": "name: a # why\ncommand: [x]", "format": "yaml", "again_as": "toml"}
    text = 'name = "a"\ncommand = ["x"]\nresources = { cpu = 0.1, memory = "32MiB" }\n'
    assert (await served.client.post("/v1/manifests", json=asked)).json()["text"] == text
    asked["text"] += "\n---\nname: b\ncommand: [y]"
    is_problem(await served.client.post("/v1/manifests", json=asked), 422, "invalid")
    assert (await read("name: [", "yaml"))["faults"][0]["line"] > 0
    large = await served.client.post("/v1/manifests", json={"text": "#" * 300_000, "format": "yaml"})
    is_problem(large, 413, "too-large")


@pytest.mark.parametrize("form", ["yaml", "toml"])
async def test_an_agent_as_a_file_is_the_same_agent_again(served: Served, form: str) -> None:
    await served.deploy(replicas=2)
    written = (await served.client.get(f"{AGENT}/manifest?format={form}")).json()
    read = (await served.client.post("/v1/manifests", json={"text": written["text"], "format": form})).json()
    (agent,) = read["agents"]
    assert (agent["name"], agent["namespace"], agent["replicas"]) == ("hello", "default", 2)
    condition = {"If-Match": f'"{written["agent_revision"]}"'}
    again = await served.client.put(AGENT, json={"spec": agent["spec"], "replicas": 2}, headers=condition)
    assert again.json()["change"] == "unchanged"
    await served.client.post(f"{AGENT}/scale", json={"replicas": 1})
    assert "replicas" not in (await served.client.get(f"{AGENT}/manifest?format={form}")).json()["text"], (
        "the number is not the file's any more"
    )


async def test_what_would_come_of_a_drain_and_a_restart_is_told_and_not_done(served: Served) -> None:
    await served.deploy(replicas=2)
    before = served.runtime.state.revision

    async def foreseen(*changes: dict[str, Any]) -> dict[str, Any]:
        response = await served.client.post("/v1/foreseen", json={"changes": list(changes)})
        assert response.status_code == 200, response.text
        return response.json()

    drained = await foreseen({"verb": "node.drain", "name": "alpha"})
    assert [(one["fate"], one["agent"], one["before"], one["after"]) for one in drained["replicas"]] == [
        ("moves", "hello", "alpha", "beta"),
        ("moves", "hello", "alpha", "beta"),
    ]
    both = await foreseen({"verb": "node.drain", "name": "alpha"}, {"verb": "node.drain", "name": "beta"})
    assert both["counts"] == {"stays": 2}
    assert all(one["why"] for one in both["replicas"])
    restarted = await foreseen({"verb": "agent.restart", "name": "hello"})
    assert sum(restarted["counts"].values()) == 2
    assert restarted["held"] == 0
    huge = {**SPEC, "resources": {"cpu": 3, "memory": "16MiB"}}
    new = await foreseen({"verb": "agent.deploy", "name": "new", "spec": huge, "replicas": 3})
    assert new["counts"] == {"starts": 2, "waits": 1}
    assert served.runtime.state.revision == before
    served.runtime.apply(cm.RemoveNode(node="n-beta", force=True))
    alone = await foreseen({"verb": "node.drain", "name": "alpha"})
    assert {one["why"] for one in alone["replicas"]} == {
        "there is no other node. It leaves when one joins that can take it."
    }
    unknown = await served.client.post("/v1/foreseen", json={"changes": [{"verb": "node.drain", "name": "nowhere"}]})
    is_problem(unknown, 404, "not-found")


async def test_a_compose_file_is_imported_with_its_losses(served: Served) -> None:
    text = "name: shop\nservices:\n  web: {image: nginx, depends_on: [db], cpu_percent: 3}\n  db: {image: postgres}\n"
    found = await imported(served, text)
    assert [(one["name"], one["image"]) for one in found["agents"]] == [("db", "postgres"), ("web", "nginx")]
    assert [(one["file"], one["line"], one["key"]) for one in found["losses"]] == [
        ("compose.yaml", 3, "services.web.cpu_percent")
    ]
    read = await served.client.post("/v1/manifests", json={"text": found["manifest"], "format": "yaml"})
    assert [one["name"] for one in read.json()["agents"]] == ["db", "web"]


async def test_an_import_reads_nothing_but_what_was_given(served: Served, tmp_path: Path) -> None:
    secret = tmp_path / "key.txt"
    secret.write_text("KEY=of-the-machine\n")
    for text in (
        f"include: [{secret}]\nservices: {{web: {{image: x}}}}",
        f"services: {{web: {{extends: {{file: {secret}, service: web}}}}}}",
    ):
        found = await imported(served, text)
        assert "not among the files that were given" in found["faults"][0]["message"]
    found = await imported(
        served,
        f"services: {{web: {{image: 'a${{HOME}}b${{PATH}}', env_file: [{secret}, own.env], secrets: [a, b], "
        f"volumes: ['~/d:/d']}}}}\nsecrets: {{a: {{file: {secret}}}, b: {{file: b.txt}}}}",
        ("own.env", "OWN=1\n"),
        ("b.txt", "open-sesame"),
    )
    assert "of-the-machine" not in str(found)
    assert "OWN: " in found["manifest"]
    assert str(Path.home()) not in found["manifest"]
    assert [(one["name"], base64.b64decode(one["value"])) for one in found["values"]] == [("b", b"open-sesame")]
    assert [one["image"] for one in found["agents"]] == ["ab"]


async def test_a_file_that_was_not_given_is_named_as_the_compose_file_names_it(served: Served) -> None:
    for folder in ("/srv", "/"):
        text = "services: {a: {image: x, secrets: [pw]}}\nsecrets: {pw: {file: sub/pw.txt}}"
        asked = {"files": [{"path": "compose.yaml", "text": text}], "compose": ["compose.yaml"], "project": "a"}
        response = await served.client.post("/v1/imports/compose", json={**asked, "folder": folder})
        found = response.json()
        assert [(one["command"], one["reason"]) for one in found["create"]] == [
            ("omnitide secret set pw --from-file sub/pw.txt", "from sub/pw.txt")
        ]
        told = [one["message"] for one in found["notes"] if one["key"] == "secrets.pw.file"]
        assert told == ["sub/pw.txt is not there: give the secret its value some other way"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", ".", "a/../../b"])
async def test_paths_out_of_the_folder_are_refused(served: Served, path: str) -> None:
    asked = {"files": [{"path": path, "text": ""}], "compose": [path]}
    is_problem(await served.client.post("/v1/imports/compose", json=asked), 422, "invalid")


async def test_an_import_has_bounds_of_size_time_and_number(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    large = {"files": [{"path": "a", "text": "#" * 600_000}], "compose": ["a"]}
    is_problem(await served.client.post("/v1/imports/compose", json=large), 413, "too-large")
    monkeypatch.setattr(compose_imports, "WITHIN_S", 0.01)
    asked = {"files": [{"path": "a", "text": "services: {a: {image: x}}"}], "compose": ["a"]}
    is_problem(await served.client.post("/v1/imports/compose", json=asked), 413, "too-large")
    monkeypatch.setattr(compose_imports, "WITHIN_S", 12.0)
    monkeypatch.setattr(compose_imports, "IMPORTER", "omnitide.no_such_module")
    is_problem(await served.client.post("/v1/imports/compose", json=asked), 500, "internal")
    monkeypatch.setattr(compose_imports, "IMPORTER", "omnitide.compose.offered")
    answers = await asyncio.gather(*(served.client.post("/v1/imports/compose", json=asked) for _ in range(3)))
    assert sorted(one.status_code for one in answers) == [200, 200, 503]
