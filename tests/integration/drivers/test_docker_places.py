"""No container is given what its engine, or the fabric, keeps: asked of the real engine, by whatever path."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError
from omnitide.model.provisions import Volume
from omnitide.node.own_places import OwnPlaces
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.volumes import Volumes
from support.container_engine import DockerEngine
from support.driver_kit import Kit

pytestmark = pytest.mark.root


@pytest.fixture
def laid(tmp_path: Path, engine: DockerEngine) -> Generator[Path]:
    """A machine's folders with links and mounts that lead to what is not to be given."""
    for folder in ("fabric/nexus/keys", "fabric/node", "alias", "wider", "one", "ours/deep", "shown"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "fabric/up.lock").touch()
    (tmp_path / "ours/link").symlink_to(engine.folder / "data")
    (tmp_path / "ours/socket").symlink_to(engine.socket)
    (tmp_path / "ours/chain").symlink_to("link")
    (tmp_path / "alone").touch()
    mounted: list[Path] = []
    try:
        for what, where in (
            (engine.folder / "data", "alias"),
            (engine.folder, "wider"),
            (engine.folder / "data" / "containers", "one"),
            (engine.socket, "alone"),
            (tmp_path / "ours", "shown"),
        ):
            subprocess.run(["mount", "--bind", what, tmp_path / where], check=True)
            mounted.append(tmp_path / where)
        yield tmp_path
    finally:
        for where in reversed(mounted):
            subprocess.run(["umount", "--lazy", where], check=True)


@pytest.fixture
async def volumes(docker: Kit, laid: Path, tmp_path: Path) -> Volumes:
    """Those of a node that allows every path: what is kept from all is kept all the same."""
    assert (await docker.driver.probe()).healthy, "the engine has told where it keeps its files"
    own = OwnPlaces(laid / "fabric" / "node", {"HOME": str(tmp_path / "home")})
    own.know([docker.driver])
    return Volumes(tmp_path / "volumes", own, ["/"])


def given(volumes: Volumes, source: str) -> str:
    needs = Needs(
        instance="a",
        namespace="default",
        user="",
        own_paths=False,
        mounted=True,
        volumes={"v": Volume(target="/v", source=source, read_only=True)},
    )
    return volumes.mounts(needs, None)[0].source


def test_the_engine_s_files_and_socket_are_given_by_no_name(volumes: Volumes, laid: Path, engine: DockerEngine) -> None:
    data, socket, here = engine.folder / "data", engine.socket, laid
    for source in (
        data,
        data / "containers",
        engine.folder,
        f"{engine.folder}/../{engine.folder.name}/data",
        f"{data}/containers/../../data/image",
        f"//{str(data).lstrip('/')}/./",
        socket,
        socket.parent,
        f"{socket.parent}/../{socket.parent.name}/{socket.name}",
        here / "ours/link",
        here / "ours/link/containers",
        here / "ours/chain",
        here / "ours/socket",
        f"{here}/ours/deep/../link/overlay2",
        here / "alias",
        here / "alias/containers",
        here / "wider",
        here / "wider/data",
        here / "one",
        here / "alone",
        here / "shown/link",
        here,
        "/",
        "/tmp",
        f"/proc/self/root{data}",
        f"/proc/{os.getpid()}/root{socket}",
        f"/proc/{os.getpid()}/cwd/../../../../../../../..{data}",
    ):
        with pytest.raises(DriverError) as refused:
            given(volumes, str(source))
        assert (refused.value.cause, refused.value.permanent) == ("volume-refused", True), source


def test_nor_are_nexus_and_the_node(volumes: Volumes, laid: Path) -> None:
    (laid / "ours/nexus").symlink_to(laid / "fabric/nexus")
    for source in ("fabric", "fabric/nexus", "fabric/nexus/keys", "fabric/node", "ours/nexus", "fabric/node/../nexus"):
        with pytest.raises(DriverError, match="keeps its own"):
            given(volumes, str(laid / source))


def test_what_is_nobody_s_is_given(volumes: Volumes, laid: Path) -> None:
    assert given(volumes, str(laid / "ours")) == str(laid / "ours")
    assert given(volumes, str(laid / "shown/deep")) == str(laid / "shown/deep")


async def test_what_a_silent_engine_keeps_is_known_to_the_next_node_proxy(
    docker: Kit, laid: Path, engine: DockerEngine, tmp_path: Path
) -> None:
    """While nobody has asked it: the engine was connected to by the one before."""
    assert (await docker.driver.probe()).healthy
    later = docker.another()
    own = OwnPlaces(laid / "fabric" / "node", {"HOME": str(tmp_path / "home")})
    own.know([later])
    with pytest.raises(DriverError, match="keeps its own"):
        given(Volumes(tmp_path / "volumes", own, ["/"]), str(engine.folder / "data/image"))
