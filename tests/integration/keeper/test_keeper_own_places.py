"""What belongs to the fabric, and to the engine beside it, is empty in a sandbox: root's too, and by every mount."""

import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from integration.keeper.conftest import Home
from omnitide.config.neighbours import Neighbours
from omnitide.drivers import process_sandbox
from omnitide.drivers.process import ProcessDriver
from omnitide.node.driver_places import context_of
from omnitide.node.own_places import OwnPlaces

pytestmark = [pytest.mark.root, pytest.mark.skipif(not process_sandbox.works(), reason="bubblewrap does not work here")]

TOKEN = "4dmin-t0ken"


class Runtime:
    """As far as places are concerned."""

    name = "docker"

    def __init__(self, *places: Path) -> None:
        self._places = tuple(map(str, places))

    def places(self) -> tuple[str, ...]:
        return self._places


@pytest.fixture
def root() -> Generator[Path]:
    """A fabric's folder as `omnitide up` lays it out. Not in /tmp, of which a sandbox has its own."""
    with tempfile.TemporaryDirectory(dir="/srv") as folder:
        path = Path(folder)
        path.chmod(0o711)
        for part in ("fabric/nexus/keys", "fabric/node/keeper", "other/nexus", "engine", "alias", "wider", "media"):
            (path / part).mkdir(parents=True, mode=0o711)
        (path / "fabric/nexus/admin-token").write_text(TOKEN)
        (path / "fabric/nexus/keys/ca").write_text(TOKEN)
        (path / "fabric/profile.json").write_text(TOKEN)
        (path / "other/nexus/admin-token").write_text(TOKEN)
        (path / "engine/layer").write_text(TOKEN)
        (path / "engine.sock").write_text(TOKEN)
        (path / "media/film").write_text("a film\n")
        mounted: list[Path] = []
        try:
            for what, where in (("fabric/nexus", "alias"), (".", "wider")):
                subprocess.run(["mount", "--bind", path / what, path / where], check=True)
                mounted.append(path / where)
            yield path
        finally:
            for where in reversed(mounted):
                subprocess.run(["umount", "--lazy", where], check=True)


@pytest.fixture
async def box(root: Path) -> AsyncGenerator[Home]:
    data = root / "fabric" / "node"
    neighbours = Neighbours(root / "register")
    neighbours.note(root / "other")
    own = OwnPlaces(data, {}, neighbours=neighbours)
    own.know([Runtime(root / "engine", root / "engine.sock")])  # type: ignore[list-item]
    context = context_of(data, "process", "n", "off", hidden=own)
    home = Home(data / "keeper", "off")
    home.driver = ProcessDriver(
        context.directory, cgroup=context.cgroup, passage=context.passage, hidden=context.hidden
    )
    home.drivers = [home.driver]
    yield home
    await home.close()


@pytest.mark.parametrize("user", ["", "nobody"])
async def test_a_sandbox_finds_nothing_of_the_fabric_s_by_any_name(box: Home, root: Path, user: str) -> None:
    script = f"grep -rs {TOKEN} {root} /tmp; cat {root}/media/film; touch here && echo {root}/fabric/nexus/*"
    await box.run("box", script, isolation="sandbox", user=user)
    said = (await box.output("box")).decode()
    assert TOKEN not in said
    assert said.splitlines() == ["a film", f"{root}/fabric/nexus/*"]
