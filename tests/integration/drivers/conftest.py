"""Every driver, each with a runtime of its own: the suite's tests take `kit` and run once for each."""

import os
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Literal

import pytest

from omnitide.drivers.docker.driver import DockerDriver
from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import DriverContext, Launch, RunKey
from omnitide.drivers.wasm.driver import CACHE, WasmDriver
from omnitide.model.container import Container, Sandbox, Wasm
from omnitide.node.keeper.launch import stop_keeper
from support import wasi_compiler
from support.container_engine import PROGRAMS, DockerEngine, built, engine_in
from support.driver_kit import Kit, names_below
from support.podman_engine import PodmanEngine

IMAGE = "conform:1"
ON_PODMAN = (
    "test_exit_codes_are_those_of_the_program",
    "test_a_program_that_there_is_not_is_named_and_cannot_be_helped",
    "test_a_start_that_is_asked_for_twice_happens_once",
    "test_stop_gives_the_program_its_grace",
    "test_what_heeds_no_signal_is_killed_after_its_grace",
    "test_an_end_while_no_driver_looked_is_told_with_its_cause",
    "test_an_ended_run_is_forgotten_and_a_living_one_is_not",
    "test_removing_an_instance_leaves_nothing_behind",
    "test_changes_are_told_as_they_happen",
    "test_what_a_run_uses_is_measured",
    "test_too_much_memory_is_the_end_with_its_reason",
    "test_reading_goes_on_exactly_where_another_reader_stopped",
    "test_the_last_lines_alone",
    "test_a_follower_that_was_left_behind_still_gets_the_newest",
    "test_a_further_program_says_what_it_says_and_how_it_ended",
    "test_files_go_in_and_come_out",
)
"""Where it differs from Docker Engine. Podman takes seconds for each: with OMNITIDE_PODMAN=all it runs every test."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("OMNITIDE_PODMAN") == "all":
        return

    def left_out(item: pytest.Item) -> bool:
        spec = getattr(item, "callspec", None)
        if spec is None or spec.params.get("kit") != "podman":
            return False
        # Of one with several cases the last.
        name, _, cases = item.name.partition("[")
        return name not in ON_PODMAN or (name == ON_PODMAN[0] and "42" not in cases)

    gone = [item for item in items if left_out(item)]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if not left_out(item)]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("conform"))


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The conformance program as a module of WASI."""
    pytest.importorskip("wasmtime")
    return wasi_compiler.compiled(PROGRAMS / "conform.c", tmp_path_factory.mktemp("conform-wasi"))


@pytest.fixture(scope="session")
def modules_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled once for all tests, as a node does it."""
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Generator[DockerEngine]:
    """One for all tests that do not end it."""
    with engine_in(tmp_path_factory.mktemp("engine")) as made:
        made.make_image(IMAGE, program)
        yield made


@pytest.fixture(scope="session")
def podman_engine(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Generator[DockerEngine]:
    with engine_in(tmp_path_factory.mktemp("podman"), of=PodmanEngine) as made:
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


def docker_kit(folder: Path, engine: DockerEngine, lacks: frozenset[str] = frozenset()) -> Kit:
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
        lacks=lacks,
    )


def lacking_on_podman() -> frozenset[str]:
    """It does not tell of an end for want of memory; the kernel's log does, where it may be read."""
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return frozenset({"oom-reason"})
    return frozenset()


def wasm_kit(folder: Path, module: Path, cache: Path) -> Kit:
    directory = folder / "wasm"
    directory.mkdir()
    (directory / CACHE).symlink_to(cache)

    def launch(key: RunKey, words: tuple[str, ...]) -> Launch:
        return Launch(key=key, name=f"{key.instance}.1", command=words, environment={}, wasm=Wasm(module=str(module)))

    keeper = folder / "keeper"
    return Kit(
        name="wasm",
        new_driver=lambda: WasmDriver(DriverContext(directory=str(directory), node_id="test", keeper=str(keeper))),
        launch=launch,
        left=lambda: names_below(keeper / "work") + names_below(keeper / "logs"),
        lacks=frozenset({"signals", "exec", "files", "forks"}),
    )


@pytest.fixture(params=["process", "sandbox", "docker", "podman", "wasm"])
async def kit(request: pytest.FixtureRequest, tmp_path: Path, program: Path) -> AsyncIterator[Kit]:
    make: dict[str, Callable[[], Kit]] = {
        "process": lambda: process_kit(tmp_path, program),
        "sandbox": lambda: process_kit(tmp_path, program, "sandbox"),
        "docker": lambda: docker_kit(tmp_path, request.getfixturevalue("engine")),
        "podman": lambda: docker_kit(tmp_path, request.getfixturevalue("podman_engine"), lacks=lacking_on_podman()),
        "wasm": lambda: wasm_kit(tmp_path, request.getfixturevalue("module"), request.getfixturevalue("modules_cache")),
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
