"""Images: from a local registry, with credentials and without, pinned by digest; and every way in which they lack."""

import re
from collections.abc import Generator
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from omnitide.drivers.docker.images import parse, pull_error
from omnitide.drivers.protocol import DriverError, RunKey
from omnitide.model.container import Container
from omnitide.node.preparing import Fetches
from support.container_engine import DockerEngine, registry_in
from support.driver_kit import Kit

USER = "somebody:open-sesame"
HTPASSWD = "somebody:$2b$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO"
"""The same, by bcrypt."""
NO_DIGEST = "sha256:" + "0" * 64


class Pushed(NamedTuple):
    open: str
    """`address/name:tag` on the registry that takes everybody."""
    closed: str
    digest: str


@pytest.fixture(scope="module")
def pushed(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Generator[Pushed]:
    folders = [tmp_path_factory.mktemp("registry") for _ in range(2)]
    with registry_in(folders[0], engine, 5001) as free, registry_in(folders[1], engine, 5002, HTPASSWD) as closed:
        engine.docker("login", "--username", "somebody", "--password-stdin", closed, stdin=b"open-sesame")
        names = (f"{free}/team/conform:1", f"{closed}/team/conform:1")
        said = ""
        for name in names:
            engine.docker("tag", "conform:1", name)
            said = engine.docker("push", name).stdout
        engine.docker("logout", closed)
        found = re.search(r"sha256:[0-9a-f]{64}", said)
        assert found is not None
        yield Pushed(*names, found[0])


@pytest.fixture(autouse=True)
def not_here(pushed: Pushed, engine: DockerEngine) -> None:
    """The images of the registries are not on the engine."""
    listed = engine.docker(
        "images", "--digests", "--format", "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    ).stdout
    for line in listed.splitlines():
        if line.startswith("127.0.0.1:"):
            name, digest = line.split()
            engine.docker("rmi", "--force", name if "<none>" not in name else digest)


async def cause_of(kit: Kit, image: str, **more: object) -> DriverError:
    credentials = more.pop("credentials", "")
    with pytest.raises(DriverError) as refused:
        await kit.start("x", "exit", "0", container=Container(image=image, **more), credentials=credentials)  # type: ignore[arg-type]
    assert not [name for name in kit.left() if "-x-" in name]
    return refused.value


async def test_an_image_is_pulled_once_and_told_of(docker: Kit, pushed: Pushed, engine: DockerEngine) -> None:
    told: list[str] = []
    launch = docker.launch(RunKey("a", 1), ("exit", "0"))
    launch = replace(launch, container=Container(image=pushed.open))
    await docker.driver.prepare(launch, told.append)
    assert told[0] == f"pulling {pushed.open}"
    told.clear()
    await docker.driver.prepare(launch, told.append)
    assert told == []
    await docker.driver.prepare(replace(launch, container=Container(image=pushed.open, pull="always")), told.append)
    assert told
    await docker.driver.start(launch)
    run = await docker.end_of("a")
    assert run.exit is not None
    assert run.exit.code == 0


async def test_what_would_be_pulled_is_known_before(docker: Kit, pushed: Pushed) -> None:
    driver = docker.driver
    assert isinstance(driver, Fetches)
    launch = docker.launch(RunKey("a", 1), ("exit", "0"))
    missing = replace(launch, container=Container(image=pushed.open))
    assert await driver.fetches(missing) == pushed.open
    await driver.prepare(missing, lambda _: None)
    assert await driver.fetches(missing) == ""
    assert await driver.fetches(replace(launch, container=Container(image=pushed.open, pull="always"))) == pushed.open
    assert await driver.fetches(replace(launch, container=Container(image="none:1", pull="never"))) == ""


async def test_credentials_are_for_that_pull_alone(docker: Kit, pushed: Pushed, engine: DockerEngine) -> None:
    denied = await cause_of(docker, pushed.closed)
    assert (denied.cause, denied.permanent) == ("image-denied", True)
    wrong = await cause_of(docker, pushed.closed, credentials="somebody:wrong")
    assert wrong.cause == "image-denied"
    assert "wrong" not in str(wrong)
    await docker.start("a", "exit", "0", container=Container(image=pushed.closed), credentials=USER)
    await docker.end_of("a")
    told = str(engine.inspect(docker_name(docker, engine)))
    assert "open-sesame" not in told
    again = await cause_of(docker, pushed.closed, pull="always")
    assert again.cause == "image-denied"


async def test_a_digest_is_what_runs(docker: Kit, pushed: Pushed) -> None:
    name = pushed.open.rpartition(":")[0]
    await docker.start("a", "exit", "0", container=Container(image=f"{name}@{pushed.digest}"))
    run = await docker.end_of("a")
    assert run.exit is not None
    assert run.exit.code == 0
    wrong = await cause_of(docker, f"{name}@{NO_DIGEST}")
    assert (wrong.cause, wrong.permanent) == ("digest-mismatch", True)


async def test_an_image_by_its_own_id_needs_no_registry(docker: Kit, engine: DockerEngine) -> None:
    own = engine.docker("inspect", "--format", "{{.Id}}", "conform:1").stdout.strip()
    await docker.start("a", "exit", "6", container=Container(image=f"conform@{own}", pull="never"))
    run = await docker.end_of("a")
    assert run.exit is not None
    assert run.exit.code == 6


@pytest.mark.parametrize(
    ("image", "pull", "cause", "permanent"),
    [
        ("nobody/has-this:1", "never", "image-missing", True),
        ("127.0.0.1:5001/team/other:1", "missing", "image-missing", True),
        ("127.0.0.1:5001/team/conform:2", "missing", "image-missing", True),
        ("127.0.0.1:9/team/conform:1", "missing", "registry-unreachable", False),
    ],
)
async def test_an_image_that_cannot_be_had_says_why(
    docker: Kit, image: str, pull: str, cause: str, permanent: bool
) -> None:
    found = await cause_of(docker, image, pull=pull)
    assert (found.cause, found.permanent) == (cause, permanent)
    assert image in str(found)
    assert (await docker.driver.probe()).healthy


def docker_name(kit: Kit, engine: DockerEngine) -> str:
    return next(name for name in kit.left() if name.startswith("omnitide-"))


@pytest.mark.parametrize(
    ("said", "cause", "permanent"),
    [
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", "no-disk", False),
        ("pull access denied for x, repository does not exist or may require 'docker login'", "image-denied", True),
        ("unauthorized: authentication required", "image-denied", True),
        ("manifest for x:1 not found: manifest unknown: manifest unknown", "image-missing", True),
        ("Get https://r/v2/: dial tcp: lookup r: no such host", "registry-unreachable", False),
        ("received unexpected HTTP status: 503 Service Unavailable", "registry-unreachable", False),
        ("manifest verification failed for digest sha256:00", "digest-mismatch", True),
    ],
)
def test_what_engines_say_is_sorted(said: str, cause: str, permanent: bool) -> None:
    found = pull_error("x:1", said)
    assert (found.cause, found.permanent) == (cause, permanent)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1.27", "nginx:1.27"),
        ("host:5000/a/b", "host:5000/a/b:latest"),
        ("host:5000/a/b:2", "host:5000/a/b:2"),
        (f"nginx:1@{NO_DIGEST}", f"nginx@{NO_DIGEST}"),
    ],
)
def test_references_are_read_as_engines_read_them(image: str, text: str) -> None:
    assert parse(image).text == text
