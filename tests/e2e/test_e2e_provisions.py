"""Secrets, configs, artifacts and volumes through the installed command, over real processes."""

import contextlib
import hashlib
import http.server
import io
import json
import os
import socket
import tarfile
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from omnitide.config.neighbours import Neighbours
from omnitide.drivers import process_sandbox
from omnitide.model.provisions import Artifact
from omnitide.model.spec import AgentSpec, Resources
from support.fabric_processes import Fabric, until

WORD = "corr3ct-h0rse-battery"
OTHER = "st4ple-0f-another-kind"
THIRD = "third-v4lue-of-all"


def agent(fabric: Fabric, name: str, text: str, script: str) -> str:
    """A manifest whose agent runs a script of the shell; the path of it."""
    command = json.dumps(["sh", "-c", script])
    path = fabric.folder / f"{name}.toml"
    path.write_text(f'kind = "agent"\nname = "{name}"\ncommand = {command}\n{text}\n')
    return str(path)


def output(fabric: Fabric, name: str, wanted: str) -> str:
    """The agent's output, once it holds a text."""

    def read() -> str:
        text = fabric.cli("logs", name, code=None).stdout
        return text if wanted in text else ""

    return until(read, f"{name} writes {wanted!r}")


def reason(fabric: Fabric, name: str, cause: str) -> str:
    """Why the agent's instance has not started, once that is of a cause."""

    def read() -> str:
        for one in fabric.client.list_instances(agent=name, ended=True).items:
            if one.exit is not None and one.exit.cause == cause:
                return one.exit.message
        return ""

    return until(read, f"an instance of {name} says {cause}")


def files_with(folders: list[Path], words: tuple[str, ...]) -> list[str]:
    """Every file below the folders that holds one of the words."""
    found: list[str] = []
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                found += [f"{path}: {word}" for word in words if word.encode() in data]
    return found


@pytest.fixture
def secrets(fabric: Fabric) -> Generator[Fabric]:
    yield fabric
    for agent in fabric.client.agents():
        fabric.client.delete_agent(agent.name)
    for secret in fabric.client.secrets():
        fabric.client.remove_secret(secret.namespace, secret.name)
    for config in fabric.client.configs():
        fabric.client.remove_config(config.namespace, config.name)


def test_a_secret_is_handed_over_and_found_nowhere_else(secrets: Fabric) -> None:
    fabric = secrets
    fabric.cli("secret", "set", "db", stdin=WORD)
    fabric.cli("config", "set", "conf", stdin="port=1\n")
    script = (
        'echo "length $${#DB_WORD}"; echo "sum $(sha256sum < $OMNITIDE_SECRETS/db)";'
        'stat -c "mode %a" $OMNITIDE_SECRETS/db;'
        'stat -f -c "on %T" $OMNITIDE_SECRETS; cat $OMNITIDE_CONFIGS/app/conf; echo done; sleep 1000'
    )
    text = "[secrets.db]\nenvironment = 'DB_WORD'\nfile = 'db'\n[configs.conf]\nfile = 'app/conf'\n"
    fabric.cli("deploy", agent(fabric, "keeps", text, script))
    told = output(fabric, "keeps", "done")
    assert f"length {len(WORD)}" in told
    assert f"sum {hashlib.sha256(WORD.encode()).hexdigest()}" in told
    assert "mode 400" in told
    assert "on tmpfs" in told
    assert "port=1" in told
    shown = [
        fabric.cli("secret", "ls", "-o", "json").stdout,
        fabric.cli("secret", "inspect", "db", "-o", "json").stdout,
        fabric.cli("inspect", "keeps", "-o", "json").stdout,
        fabric.cli("events", "--tail", "200", "-o", "json").stdout,
        fabric.cli("ps", "-o", "json").stdout,
        fabric.cli("explain", "keeps", code=None).stdout,
    ]
    assert [text for text in shown if WORD in text] == []
    assert "agent default/keeps" in shown[1]
    (one,) = fabric.running("keeps", 1)
    assert files_with([fabric.folder], (WORD,)) == []
    in_memory = files_with(list(Path("/dev/shm").glob("omnitide-*")), (WORD,))
    assert [path for path in in_memory if one.id in path], "the file is in memory"
    fabric.cli("rm", "keeps")
    until(lambda: not files_with(list(Path("/dev/shm").glob("omnitide-*")), (WORD,)), "its file goes with it")
    fabric.cli("secret", "rm", "db")
    assert fabric.cli("secret", "inspect", "db", code=3)


def test_a_new_version_reaches_what_runs_as_its_spec_says(secrets: Fabric) -> None:
    fabric = secrets
    for name in ("swap", "signal", "anew"):
        fabric.cli("secret", "set", name, stdin=WORD)
    script = (
        "trap 'echo hup $(cat $OMNITIDE_SECRETS/signal)' HUP; echo began $ANEW;"
        "while :; do sleep 0.2; [ $(cat $OMNITIDE_SECRETS/swap) = " + OTHER + " ] && echo swapped; done"
    )
    text = (
        "[secrets.swap]\non_change = 'replace'\n[secrets.signal]\non_change = 'SIGHUP'\n"
        "[secrets.anew]\nenvironment = 'ANEW'\non_change = 'restart'\n"
    )
    fabric.cli("deploy", agent(fabric, "turns", text, script))
    output(fabric, "turns", f"began {WORD}")
    (one,) = fabric.running("turns", 1)
    assert "version 2" in fabric.cli("secret", "set", "swap", stdin=OTHER).stdout
    output(fabric, "turns", "swapped")
    fabric.cli("secret", "set", "signal", stdin=OTHER)
    output(fabric, "turns", f"hup {OTHER}")
    assert fabric.running("turns", 1)[0].handle == one.handle, "neither ended it"
    fabric.cli("secret", "set", "anew", stdin=THIRD)
    output(fabric, "turns", f"began {THIRD}")
    again = until(lambda: next((i for i in fabric.running("turns", 1) if i.handle != one.handle), None), "it runs anew")
    assert (again.id, again.version) == (one.id, one.version), "a restart, and no new version of the agent"


def test_an_instance_waits_for_a_secret_that_there_is_not(secrets: Fabric) -> None:
    fabric = secrets
    text = "[secrets.later]\nenvironment = 'LATER'\n"
    fabric.cli("deploy", agent(fabric, "waits", text, "echo got $LATER; sleep 1000"), "--no-wait")
    assert "secret default/later does not exist" in reason(fabric, "waits", "secret-missing")
    assert fabric.client.get_agent("waits").status != "running"
    fabric.cli("secret", "set", "later", stdin=WORD)
    output(fabric, "waits", f"got {WORD}")


def test_nothing_of_them_stays_in_memory_when_the_fabric_goes_down_and_they_come_back_with_it(lone: Fabric) -> None:
    fabric = lone
    fabric.up()
    fabric.cli("secret", "set", "db", stdin=WORD)
    fabric.cli("deploy", agent(fabric, "keeps", "[secrets.db]\n", "echo got $(cat $OMNITIDE_SECRETS/db); sleep 1000"))
    output(fabric, "keeps", f"got {WORD}")
    folder = Path("/dev/shm") / f"omnitide-{fabric.client.get_node(fabric.main).id}"
    assert files_with([folder], (WORD,))
    fabric.cli("down")
    assert not folder.exists()
    fabric.up()
    (one,) = fabric.running("keeps", 1)
    until(lambda: files_with([folder / one.id], (WORD,)), "it is handed over again")
    fabric.cli("down", "--keep-agents")
    assert files_with([folder / one.id], (WORD,)), "what goes on keeps what it has"
    fabric.cli("down")
    assert not folder.exists()


def test_who_may_not_is_refused(secrets: Fabric) -> None:
    fabric = secrets
    token = fabric.cli("token", "create", "-q").stdout.strip()
    path = fabric.folder / "join-token"
    path.write_text(token)
    path.chmod(0o600)
    for words in (("secret", "ls"), ("secret", "set", "x"), ("blob", "ls"), ("blob", "put", "-")):
        ran = fabric.cli(*words, "--token-file", str(path), stdin="x", code=None)
        assert ran.returncode == 6, (words, ran)


# -- artifacts ---------------------------------------------------------------------------------------------------------


def packed(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


@pytest.fixture
def served() -> Generator[tuple[str, dict[str, bytes]]]:
    """An HTTP server and what it has, by path."""
    content: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = content.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 the library's name

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", content
    server.shutdown()
    server.server_close()
    thread.join()


def test_artifacts_come_from_the_fabrics_store_and_from_a_server(
    fabric: Fabric, served: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    url, content = served
    content["/tools.tar.gz"] = packed({"bin/say": b"#!/bin/sh\necho unpacked tool says $1\n"})
    checksum = f"sha256:{hashlib.sha256(content['/tools.tar.gz']).hexdigest()}"
    word = os.urandom(8).hex()
    (tmp_path / "data").write_text(word)
    digest = fabric.cli("blob", "put", str(tmp_path / "data")).stdout.strip()
    assert digest == f"sha256:{hashlib.sha256(word.encode()).hexdigest()}"
    text = (
        f"[[artifacts]]\nsource = '{digest}'\npath = 'in/data'\n"
        f"[[artifacts]]\nsource = '{url}/tools.tar.gz'\nchecksum = '{checksum}'\nunpack = true\npath = 'tools'\n"
    )
    script = "cat in/data; echo; ./tools/bin/say hello; sleep 1000"
    fabric.cli("deploy", agent(fabric, "fetches", text, script))
    told = output(fabric, "fetches", "unpacked tool says hello")
    assert word in told
    assert "agent default/fetches" in fabric.cli("blob", "ls").stdout
    assert "could not be started without" in fabric.cli("blob", "rm", digest, code=4).stderr
    assert fabric.cli("blob", "get", digest[:20]).stdout == word


@pytest.mark.parametrize(
    ("path", "checksum", "unpack", "cause"),
    [
        ("/nothing", False, False, "artifact-missing"),
        ("/plain", True, False, "checksum"),
        ("/evil.tar.gz", False, True, "artifact-unsafe"),
        ("/plain", False, True, "artifact-damaged"),
    ],
)
def test_what_is_wrong_with_an_artifact_is_said(
    fabric: Fabric, served: tuple[str, dict[str, bytes]], path: str, checksum: bool, unpack: bool, cause: str
) -> None:
    url, content = served
    content["/plain"] = b"plain text"
    content["/evil.tar.gz"] = packed({"../../../../../../tmp/omnitide-evil": b"x"})
    wrong = f"checksum = 'sha256:{'0' * 64}'\n" if checksum else ""
    text = f"[[artifacts]]\nsource = '{url}{path}'\n{wrong}unpack = {str(unpack).lower()}\n"
    name = f"bad-{cause}"
    fabric.cli("deploy", agent(fabric, name, text, "sleep 1000"), code=None)
    assert f"{url}{path}" in reason(fabric, name, cause)
    assert not Path("/tmp/omnitide-evil").exists()
    fabric.cli("rm", name)


# -- volumes -----------------------------------------------------------------------------------------------------------


def test_a_volume_outlives_its_instance(fabric: Fabric) -> None:
    text = "[volumes.store]\ntarget = 'data'\n"
    script = "echo found $(cat data/count 2>/dev/null || echo none); echo kept > data/count; sleep 1000"
    fabric.cli("deploy", agent(fabric, "stores", text, script))
    output(fabric, "stores", "found none")
    (one,) = fabric.running("stores", 1)
    for node in ("alpha", "beta"):
        if node != one.node:
            fabric.cli("nodes", "cordon", node)
    fabric.cli("restart", "stores")
    output(fabric, "stores", "found kept")


# -- sandboxes and modules ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not process_sandbox.works(), reason="bubblewrap does not work here")
@pytest.mark.parametrize("user", ["", pytest.param("nobody", marks=pytest.mark.root)])
def test_a_sandbox_sees_its_own_secrets_and_volumes_and_nobody_elses(secrets: Fabric, user: str) -> None:
    fabric = secrets
    fabric.cli("secret", "set", "db", stdin=WORD)
    fabric.cli("secret", "set", "other", stdin=OTHER)
    fabric.cli("deploy", agent(fabric, "beside", "[secrets.other]\n", "echo there; sleep 1000"))
    output(fabric, "beside", "there")
    text = (
        f"isolation = 'sandbox'\nuser = '{user}'\n[sandbox]\nnetwork = false\n[secrets.db]\n"
        f"[volumes.data{user}]\ntarget = '/srv/data'\n"
    )
    script = (
        "echo has $(cat $OMNITIDE_SECRETS/db); echo all $(cat $OMNITIDE_SECRETS/../../*/secrets/*);"
        "echo names $(ls /dev/shm | wc -l) $(ls $OMNITIDE_SECRETS/../.. | wc -l);"
        "touch $OMNITIDE_SECRETS/x || echo closed; echo kept > /srv/data/file && cat /srv/data/file; sleep 1000"
    )
    fabric.cli("deploy", agent(fabric, "boxed", text, script))
    told = output(fabric, "boxed", "kept")
    for line in (f"has {WORD}", f"all {WORD}", "names 1 1", "closed"):
        assert line in told.replace("\t", " ")
    assert OTHER not in told


def test_a_module_is_an_artifact_and_has_its_secrets_and_volumes(secrets: Fabric, tmp_path: Path) -> None:
    pytest.importorskip("wasmtime")
    from support import wasm_modules

    fabric = secrets
    fabric.cli("secret", "set", "db", stdin=WORD)
    module = wasm_modules.lay(tmp_path, wasm_modules.copies("db", "copy", source_in=4, target_in=5))
    digest = fabric.cli("blob", "put", module).stdout.strip()
    path = fabric.folder / "module.toml"
    path.write_text(
        "kind = 'agent'\nname = 'module'\ndriver = 'wasm'\n[wasm]\nmodule = 'in/app.wasm'\n"
        f"[[artifacts]]\nsource = '{digest}'\npath = 'in/app.wasm'\n"
        "[secrets.db]\n[volumes.copied]\ntarget = '/data'\n"
    )
    fabric.cli("deploy", str(path))
    output(fabric, "module", WORD)
    copies = list(fabric.folder.rglob("volumes/default/copied/copy"))
    assert [copy.read_text() for copy in copies] == [WORD]
    copies[0].unlink()


def test_a_path_that_this_node_gives_nobody(fabric: Fabric) -> None:
    text = "[volumes.store]\ntarget = 'data'\nsource = '/etc/ssl'\n"
    fabric.cli("deploy", agent(fabric, "reads-etc", text, "sleep 1000"), code=None)
    assert "/etc/ssl" in reason(fabric, "reads-etc", "volume-refused")
    text = "[volumes.store]\ntarget = 'data'\nsource = '/srv/nothing/of/the/kind'\n"
    fabric.cli("deploy", agent(fabric, "reads-none", text, "sleep 1000"), code=None)
    assert "/srv/nothing/of/the/kind" in reason(fabric, "reads-none", "volume-missing")


@pytest.mark.skipif(not process_sandbox.works(), reason="bubblewrap does not work here")
def test_nor_the_administrators_token_and_the_keys_beside_the_node(fabric: Fabric) -> None:
    """By default, with the folders as `omnitide up` lays them out; on another node of this machine too."""
    nexus = fabric.data() / "nexus"
    assert (nexus / "admin-token").is_file()
    link = fabric.folder / "innocent"
    link.symlink_to(nexus)
    box = "isolation = 'sandbox'\n"
    asked = {
        "linked": f"[volumes.v]\ntarget = 'v'\nsource = '{link}'\n",
        "mounted": box + f"[volumes.v]\ntarget = '/srv/v'\nsource = '{nexus}/keys'\nread_only = true\n",
        "open": box + f"[sandbox]\nwritable = ['{fabric.data()}']\n",
        "there": box + f"working_directory = '{nexus}'\n",
    }
    for name, text in asked.items():
        fabric.cli("deploy", agent(fabric, name, text, f"cat {nexus}/admin-token; sleep 1000"), code=None)
    for name in asked:
        assert "where Omnitide or a container engine keeps its own" in reason(fabric, name, "volume-refused")
    fabric.cli("deploy", agent(fabric, "looks", box, f"cat {nexus}/admin-token; echo $?; ls {nexus}; sleep 1000"))
    assert output(fabric, "looks", "No such file")
    assert (nexus / "admin-token").read_text().strip() not in fabric.cli("logs", "looks").stdout


@pytest.mark.skipif(not process_sandbox.works() or os.geteuid() != 0, reason="no bubblewrap, or no place but /tmp")
def test_nor_what_other_fabrics_and_nodes_of_this_machine_keep(fabric: Fabric) -> None:
    """Wherever they are: a Nexus without a node, and a node without its Nexus, have said so when they started."""
    # Not in /tmp, of which a sandbox has its own.
    with tempfile.TemporaryDirectory(dir="/srv") as elsewhere:
        Path(elsewhere).chmod(0o755)
        apart = f"{elsewhere}/apart"
        fabric.cli("up", "--nexus-only", "--api-port", "0", "--node-port", "0", "--grpc-port", "0", name=apart)
        try:
            assert {apart, str(fabric.data("beta"))} <= {*Neighbours.of(fabric.environment()).known()}
            kept, anybodys = Path(apart) / "nexus" / "admin-token", Path(elsewhere) / "film"
            anybodys.touch()
            assert kept.is_file()
            looks = f"for one in {kept} {anybodys}; do test -e $one && echo seen $one; done; echo looked; sleep 1000"
            fabric.cli("deploy", agent(fabric, "peeks", "isolation = 'sandbox'\n", looks))
            seen = [line.split()[-1] for line in output(fabric, "peeks", "looked").splitlines() if "seen" in line]
            assert seen == [str(anybodys)]
        finally:
            fabric.cli("down", name=apart)


def test_servers_that_do_not_answer_hold_up_no_agent_that_needs_none_of_them(lone: Fabric) -> None:
    """As many downloads as a node has turns for them, half of them at one server; and more that wait and say so."""
    fabric = lone
    fabric.up()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128)) for _ in range(2)]
        ports = [server.getsockname()[1] for server in servers]
        little = Resources(cpu=10)
        for number in range(12):
            artifacts = (Artifact(source=f"http://127.0.0.1:{ports[number % 2]}/never/{number}"),)
            spec = AgentSpec(command=("sleep", "1000"), resources=little, artifacts=artifacts)
            fabric.client.deploy_agent(f"slow-{number}", spec)

        def told(words: str) -> list[str]:
            texts = [fabric.client.explain_instance(one.id).text for one in fabric.instances()]
            return [text for text in texts if words in text]

        until(lambda: len(told("fetching http")) >= 8, "eight downloads are under way")
        (waiting, *_) = until(lambda: told("waiting to fetch"), "the others say what they wait for")
        assert "4 downloads from 127.0.0.1" in waiting
        assert "are under way, the most at once" in waiting
        fabric.client.deploy_agent("plain", AgentSpec(command=("sleep", "1000"), resources=little))
        assert fabric.running("plain", 1)
        assert told("waiting to fetch"), "it ran while others waited"
