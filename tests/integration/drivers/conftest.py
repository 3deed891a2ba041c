"""Every driver, each with a runtime of its own: the suite's tests take `kit` and run once for each."""

from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Literal

import pytest

from omnitide.drivers.docker.driver import DockerDriver
from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import Launch, RunKey
from omnitide.model.container import Container, Sandbox
from omnitide.node.keeper.launch import stop_keeper
from support.container_engine import DockerEngine, built, engine_in
from support.driver_kit import Kit, names_below

IMAGE = "conform:1"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("conform"))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Generator[DockerEngine]:
    """One for all tests that do not end it."""
    with engine_in(tmp_path_factory.mktemp("engine")) as made:
        made.make_image(IMAGE, program)
        yield made


def process_kit(folder: Path, program: Path, isolation: Literal["none", "sandbox"] = "none") -> Kit:
    def launch(key: RunKey, words: tuple[str, ...]) -> Launch:
        return Launch(
            key=key,
            name=f"{key.instance}.1",
            command=(str(program), *words),
            environment={},
            isolation=isolation,
            sandbox=Sandbox(writable=(str(program.parent),)),
        )

    keeper = folder / "keeper"
    return Kit(
        name="process",
        new_driver=lambda: ProcessDriver(str(keeper)),
        launch=launch,
        left=lambda: names_below(keeper / "work") + names_below(keeper / "logs"),
        program=(str(program),),
    )


def docker_kit(folder: Path, engine: DockerEngine) -> Kit:
    node = f"node-{folder.name}"

    def launch(key: RunKey, words: tuple[str, ...]) -> Launch:
        return Launch(
            key=key,
            name=f"{key.instance}.1",
            command=words,
            environment={},
            container=Container(image=IMAGE),
            namespace="default",
            workload=key.instance,
        )

    return Kit(
        name="docker",
        new_driver=lambda: DockerDriver(str(folder / "docker"), node, find=lambda: engine.host),
        launch=launch,
        left=lambda: (
            engine.containers(f"label=omnitide.node={node}")
            + names_below(folder / "docker" / "stops")
            + names_below(folder / "docker" / "forgotten")
        ),
        program=("/conform",),
        home="/",
    )


@pytest.fixture(params=["process", "sandbox", "docker"])
async def kit(request: pytest.FixtureRequest, tmp_path: Path, program: Path) -> AsyncIterator[Kit]:
    make: dict[str, Callable[[], Kit]] = {
        "process": lambda: process_kit(tmp_path, program),
        "sandbox": lambda: process_kit(tmp_path, program, "sandbox"),
        "docker": lambda: docker_kit(tmp_path, request.getfixturevalue("engine")),
    }
    made = make[request.param]()
    yield made
    await made.clear()
    if made.name != "docker":
        stop_keeper(str(tmp_path / "keeper"), stop_runs=True, grace_ms=0)


@pytest.fixture
async def docker(tmp_path: Path, engine: DockerEngine) -> AsyncIterator[Kit]:
    """For what only containers have."""
    made = docker_kit(tmp_path, engine)
    yield made
    await made.clear()


@pytest.fixture(scope="session")
def make_docker() -> Callable[[Path, DockerEngine], Kit]:
    return docker_kit
