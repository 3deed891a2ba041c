"""A path that a node may not look at is given to nobody, and said by its name: trying again would not help."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError
from omnitide.model.provisions import Volume
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.volumes import Volumes

NOBODY = 65534


@pytest.fixture
def another() -> Iterator[int]:
    """A process of another user than the node's, which is nobody from here on."""
    if os.geteuid() != 0:
        yield 1
        return
    process = subprocess.Popen(["sleep", "infinity"])
    os.seteuid(NOBODY)
    try:
        yield process.pid
    finally:
        os.seteuid(0)
        process.kill()
        process.wait()


def refusal(tmp_path: Path, **asked: object) -> DriverError:
    needs = Needs(instance="a", namespace="default", user="", own_paths=False, mounted=True, **asked)  # type: ignore[arg-type]
    volumes = Volumes(tmp_path / "volumes", tuple, ["/"])
    with pytest.raises(DriverError) as refused:
        volumes.permit(needs)
        volumes.mounts(needs, None)
    return refused.value


@pytest.mark.parametrize("below", ["", "/x"])
def test_behind_a_link_that_it_may_not_follow(tmp_path: Path, another: int, below: str) -> None:
    path = f"/proc/{another}/cwd{below}"
    for asked in ({"volumes": {"v": Volume(target="/v", source=path)}}, {"writable": (path,)}):
        error = refusal(tmp_path, **asked)
        assert (error.cause, error.permanent, path in str(error)) == ("volume-refused", True, True)
        assert "Permission denied" in str(error)


def test_in_a_folder_that_is_closed_to_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    root = os.geteuid() == 0
    closed.chmod(0)
    if root:
        os.seteuid(NOBODY)
    try:
        error = refusal(tmp_path, volumes={"v": Volume(target="/v", source=f"{closed}/inner")})
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o700)
    assert (error.cause, error.permanent, f"{closed}/inner" in str(error)) == ("volume-refused", True, True)
