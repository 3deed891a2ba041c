"""Containers by the command line, on a fabric of real processes and a real engine."""

import shutil
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from omnitide.model.objects import Instance
from support.container_engine import DockerEngine, built, engine_in, registry_in
from support.fabric_processes import Fabric, send, until

HTPASSWD = "somebody:$2b$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO"
"""The password is open-sesame."""
AGENT = """
kind = "agent"
name = "{name}"
driver = "docker"
command = [{command}]
replicas = {replicas}

[container]
image = "{image}"
{more}

[restart]
backoff = "100ms"
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[DockerEngine]:
    program = built(tmp_path_factory.mktemp("conform"))
    with engine_in(tmp_path_factory.mktemp("engine"), "--live-restore") as made:
        made.make_image("conform:1", program)
        yield made


@pytest.fixture(scope="module")
def shared(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory, bytecode: Path) -> Generator[Fabric]:
    """Of one node, which knows the engine."""
    with pytest.MonkeyPatch.context() as patch, Fabric(tmp_path_factory.mktemp("fabric"), bytecode=bytecode) as made:
        patch.setenv("DOCKER_HOST", engine.host)
        made.up()
        yield made


@pytest.fixture
def containers(fabric: Fabric, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> Fabric:
    """The shared fabric, with no agent before and after."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    return fabric


def agent(
    fabric: Fabric, name: str, *command: str, replicas: int = 1, image: str = "conform:1", more: str = ""
) -> Path:
    """Its file."""
    path = fabric.folder / f"{name}.toml"
    words = ", ".join(f'"{word}"' for word in command)
    path.write_text(AGENT.format(name=name, command=words, replicas=replicas, image=image, more=more))
    return path


def container_of(engine: DockerEngine, instance: Instance) -> str:
    """Its id, of those that run."""
    words = ("ps", "--no-trunc", "--format", "{{.ID}}", "--filter", f"label=omnitide.instance={instance.id}")
    (found,) = engine.docker(*words).stdout.split()
    return found


def running(engine: DockerEngine, agent: str) -> int:
    return len(engine.docker("ps", "--quiet", "--filter", f"label=omnitide.workload={agent}").stdout.split())


def test_containers_are_deployed_scaled_restarted_and_outlive_the_node_proxy(
    containers: Fabric, engine: DockerEngine
) -> None:
    fabric = containers
    fabric.cli("deploy", str(agent(fabric, "web", "heed", replicas=2)))
    fabric.running("web", 2)
    assert running(engine, "web") == 2
    assert "ready" in fabric.cli("logs", "web").stdout

    fabric.cli("scale", "web", "3")
    first = fabric.running("web", 3)[0]
    assert running(engine, "web") == 3

    engine.docker("kill", container_of(engine, first))
    until(lambda: fabric.running("web", 3) and running(engine, "web") == 3, "the killed one is restarted")
    again = next(one for one in fabric.instances("web") if one.id == first.id)
    assert again.attempt == first.attempt + 1

    said = fabric.cli("exec", first.name, "--", "/conform", "say", "from within").stdout
    assert said == "from within\n"
    fabric.cli("exec", first.name, "--", "nosuch", code=127)
    fabric.cli("exec", first.name, "--", "/proc/version", code=126)

    ran = fabric.cli("run", "--image", "conform:1", "-e", "OURS=1", "--", "environment")
    assert "OURS=1" in ran.stdout.splitlines()
    assert fabric.cli("run", "--image", "conform:1", "--", "exit", "7", code=7).stdout == ""
    assert "gone:1" in fabric.cli("run", "--image", "localhost:1/gone:1", "--", "exit", "0", code=125).stderr
    assert "--image" in fabric.cli("run", code=2).stderr, "neither a command nor an image"
    (fabric.folder / "given.txt").write_text("a file")
    fabric.cli("cp", str(fabric.folder / "given.txt"), f"{first.name}:/given.txt")
    fabric.cli("cp", f"{first.name}:/given.txt", str(fabric.folder / "back.txt"))
    assert (fabric.folder / "back.txt").read_text() == "a file"

    before = {one.id: container_of(engine, one) for one in fabric.running("web", 3)}
    with fabric.beside("logs", "web", "--follow") as following:
        until(lambda: following.out.count("ready") >= 3, "the followed logs are there")
        pid = fabric.proxy_pid()
        send([pid], signal.SIGKILL)
        fabric.new_proxy(pid)
        after = {one.id: container_of(engine, one) for one in fabric.running("web", 3)}
        assert after == before
        engine.docker("kill", "--signal", "USR1", before[first.id])
        number = f"signal {int(signal.SIGUSR1)}"
        until(lambda: number in following.out, "the follower goes on after the proxy's death")

    fabric.cli("rm", "web")
    until(lambda: not engine.containers("label=omnitide.workload=web"), "nothing of it is left with the engine")


def image_with_a_user(engine: DockerEngine, folder: Path, program: Path) -> None:
    """`named:1`: its user is `app`, 4242:4343 by its own tables; it works in /srv."""
    (folder / "etc").mkdir()
    (folder / "etc" / "passwd").write_text("app:x:4242:4343::/:/none\n")
    shutil.copy(program, folder / "conform")
    packed = subprocess.run(["tar", "--create", "--directory", folder, "."], capture_output=True, check=True).stdout
    changes = ("--change", 'ENTRYPOINT ["/conform"]', "--change", "USER app", "--change", "WORKDIR /srv")
    engine.docker("import", *changes, "-", "named:1", stdin=packed)


GIVEN = """
[secrets.db]
on_change = "replace"
[secrets.key]
file = "/etc/app/key"
[secrets.word]
environment = "app.word"
[configs.conf]
file = "app/conf"
[volumes.data]
target = "/data"
[[artifacts]]
source = "{digest}"
path = "in/tool"
"""


def test_secrets_configs_artifacts_and_volumes_are_the_containers_own_users(
    containers: Fabric, engine: DockerEngine, tmp_path: Path
) -> None:
    fabric = containers
    (tmp_path / "image").mkdir()
    image_with_a_user(engine, tmp_path / "image", built(tmp_path))
    for name in ("db", "key", "word"):
        fabric.cli("secret", "set", name, stdin=f"value-of-{name}")
    fabric.cli("config", "set", "conf", stdin="port=1")
    (tmp_path / "tool").write_text("an artifact")
    digest = fabric.cli("blob", "put", str(tmp_path / "tool")).stdout.strip()
    written = agent(fabric, "given", "heed", image="named:1", more=GIVEN.format(digest=digest))
    fabric.cli("deploy", str(written))
    (one,) = fabric.running("given", 1)

    def conform(*words: str) -> list[str]:
        return fabric.cli("exec", one.name, "--", "/conform", *words).stdout.splitlines()

    assert conform("who") == ["4242 4343"]
    paths = ("/run/secrets/db", "/etc/app/key", "/run/configs/app/conf", "/srv/in/tool")
    assert conform("read", *paths) == [
        "/run/secrets/db 400: value-of-db",
        "/etc/app/key 400: value-of-key",
        "/run/configs/app/conf 444: port=1",
        "/srv/in/tool 644: an artifact",
    ]
    assert "app.word=value-of-word" in conform("environment")
    with fabric.beside("exec", one.name, "--", "/conform", "write", "/data/kept", "kept") as writing:
        until(lambda: "written" in writing.out, "the image's user can write to its volume")
    fabric.cli("secret", "set", "db", stdin="newer")
    until(
        lambda: conform("read", paths[0]) == ["/run/secrets/db 400: newer"], "the newer secret is there, and readable"
    )
    assert engine.containers("name=omnitide-.*-users") == [], "what users were looked up in is gone"

    engine.docker("kill", container_of(engine, one))
    again = until(
        lambda: next((it for it in fabric.running("given", 1) if it.attempt > one.attempt), None), "it runs again"
    )
    assert conform("read", "/data/kept", *paths[1:])[0].endswith(": kept")
    fabric.cli("rm", "given")
    until(lambda: not list(Path("/dev/shm").glob(f"omnitide-*/{again.id}")), "its secrets go with it")


def test_an_image_is_pulled_with_the_credentials_of_a_secret(
    containers: Fabric, engine: DockerEngine, tmp_path: Path
) -> None:
    fabric = containers
    with registry_in(tmp_path, engine, 5003, HTPASSWD) as registry:
        image = f"{registry}/team/conform:1"
        engine.docker("login", "--username", "somebody", "--password-stdin", registry, stdin=b"open-sesame")
        engine.docker("tag", "conform:1", image)
        engine.docker("push", image)
        engine.docker("logout", registry)
        engine.docker("rmi", image)
        written = agent(fabric, "closed", "heed", image=image, more='credentials = "registry"')
        fabric.cli("secret", "set", "registry", stdin="somebody:wrong")
        assert "image-denied" in fabric.cli("deploy", str(written), code=8).stderr
        fabric.cli("secret", "set", "registry", stdin="somebody:open-sesame")
        fabric.cli("restart", "closed")
        (one,) = fabric.running("closed", 1)
        assert "open-sesame" not in str(engine.inspect(container_of(engine, one)))
        fabric.cli("rm", "closed")


def test_a_missing_image_or_program_is_a_state_with_its_reason(containers: Fabric) -> None:
    fabric = containers
    written = agent(fabric, "lost", "run", image="nobody/has-this:1", more='pull = "never"')
    said = fabric.cli("deploy", str(written), code=8).stderr
    assert "image-missing" in said
    assert "the image nobody/has-this:1 is not on this node" in said
    assert "has-this" in fabric.cli("explain", "lost").stdout

    written = agent(fabric, "mute", "run", more='entrypoint = ["no-such-program"]')
    said = fabric.cli("deploy", str(written), code=8).stderr
    assert "command-not-found" in said
    assert "no-such-program: no such file or directory" in said
    assert "mute cannot come up" in said

    def given_up() -> bool:
        last = fabric.instances("mute")[-1]
        return (last.name, last.attempt, last.status) == ("mute-1.3", 1, "failed")

    # The engine may call it running for a moment: then the first of three is what is told already.
    until(given_up, "it is tried as often as elsewhere, then no more")
    assert "no-such-program" in fabric.cli("explain", "mute").stdout
    assert fabric.until_live()


def test_an_engine_that_goes_away_is_told_and_what_it_ran_goes_on(containers: Fabric, engine: DockerEngine) -> None:
    fabric = containers
    fabric.cli("deploy", str(agent(fabric, "kept", "heed")))
    (before,) = fabric.running("kept", 1)
    container = container_of(engine, before)
    engine.end(signal.SIGKILL)
    try:
        until(lambda: str(engine.socket) in fabric.cli("inspect", "alpha").stdout, "the node says what it lacks")
        (shown,) = fabric.instances("kept")
        assert (shown.status, shown.last_status) == ("unknown", "running"), "what it ran goes on, and nobody can see it"
        said = fabric.cli("deploy", str(agent(fabric, "other", "heed")), "--timeout", "3s", code=None)
        assert said.returncode in (7, 8)
    finally:
        engine.start()
    fabric.running("other", 1)
    (after,) = fabric.running("kept", 1)
    assert (after.id, after.attempt, container_of(engine, after)) == (before.id, before.attempt, container)


def test_down_ends_containers_too_and_up_starts_them_again_as_if_nothing_had_failed(
    lone: Fabric, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabric = lone
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    fabric.up()
    fabric.cli("deploy", str(agent(fabric, "web", "heed", replicas=2)))
    before = fabric.running("web", 2)
    kept = running(engine, "web")
    fabric.cli("down", "--keep-agents")
    assert running(engine, "web") == kept == 2
    fabric.up()
    assert {one.handle for one in fabric.running("web", 2)} == {one.handle for one in before}
    told = fabric.cli("down").stdout
    assert "ended 2 instances" in told
    assert engine.containers("label=omnitide.node") == [], "nothing is left with the engine"
    fabric.up()
    until(lambda: fabric.running("web", 2) and running(engine, "web") == 2, "they are started again")
    assert fabric.cli("logs", before[0].id).stdout.count("ready") == 2, "what was said before is still to be read"
    assert not fabric.client.get_fabric().concerns


def test_a_node_that_is_taken_down_ends_its_containers_whatever_engine_its_owner_talks_to(
    lone: Fabric, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nexus goes on elsewhere: its node proxy runs meanwhile, and tells no end of theirs as a failure."""
    fabric = lone
    fabric.up("--nexus-only")
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    fabric.join("beta")
    fabric.cli("deploy", str(agent(fabric, "web", "stubborn", replicas=2)))
    before = fabric.running("web", 2)
    assert running(engine, "web") == 2
    elsewhere = {"DOCKER_HOST": f"unix://{fabric.folder / 'no-engine.sock'}"}
    told = fabric.cli("down", "--grace", "1s", name="beta", environment=elsewhere)
    assert "ended 2 instances" in told.stdout, told.stdout + told.stderr
    assert running(engine, "web") == 0
    log = (fabric.data("beta") / "node.log").read_text()
    assert "instance waiting" not in log, "an end of theirs was taken for a failure"
    ended = [line for line in log.splitlines() if "instance ended" in line]
    assert len(ended) == len(before)
    assert all("stopped" in line for line in ended), ended
