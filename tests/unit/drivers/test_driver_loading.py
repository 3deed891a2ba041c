"""Drivers by entry points: what is installed is found, and what fails costs the node that driver alone."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from omnitide.drivers.loading import installed, load
from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import ENTRY_POINTS, Driver, DriverContext, DriverError, RunKey
from support.fake_driver import FakeDriver


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("others_driver")
    monkeypatch.setitem(sys.modules, "others_driver", module)
    return module


def entries(**named: str) -> dict[str, EntryPoint]:
    return {name: EntryPoint(name=name, value=value, group=ENTRY_POINTS) for name, value in named.items()}


def made(folder: Path, declared: tuple[str, ...], **named: str) -> dict[str, Driver]:
    def context(name: str) -> DriverContext:
        return DriverContext(directory=str(folder / name), node_id="node")

    return {driver.name: driver for driver in load(context, declared, found=lambda: entries(**named))}


PROCESS = {"process": "omnitide.drivers.process:make"}


def test_ours_are_installed() -> None:
    assert {"process", "docker", "wasm"} <= installed().keys()


async def test_all_that_are_installed_are_made_where_nothing_is_said(tmp_path: Path, others: ModuleType) -> None:
    others.make = lambda context: Named("theirs")  # type: ignore[attr-defined]
    found = made(tmp_path, (), theirs="others_driver:make", **PROCESS)
    assert list(found) == ["process", "theirs"]
    assert isinstance(found["process"], ProcessDriver)
    assert isinstance(found["theirs"], FakeDriver)


async def test_only_the_declared_ones_are_made(tmp_path: Path, others: ModuleType) -> None:
    others.make = lambda context: Named("theirs")  # type: ignore[attr-defined]
    assert list(made(tmp_path, ("theirs",), theirs="others_driver:make", **PROCESS)) == ["theirs"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module_anywhere:make", "no_such_module_anywhere"),
        ("others_driver:nothing", "nothing"),
        ("others_driver:breaks", "RuntimeError: it is broken"),
        ("others_driver:lies", "calls itself 'other'"),
    ],
)
async def test_what_cannot_be_loaded_is_unhealthy_with_its_reason(
    tmp_path: Path, others: ModuleType, value: str, said: str
) -> None:
    def breaks(context: DriverContext) -> Driver:
        raise RuntimeError("it is broken")

    others.breaks = breaks  # type: ignore[attr-defined]
    others.lies = lambda context: Named("other")  # type: ignore[attr-defined]
    found = made(tmp_path, (), theirs=value, **PROCESS)
    assert isinstance(found["process"], ProcessDriver)
    info = await found["theirs"].probe()
    assert not info.healthy
    assert said in info.detail
    with pytest.raises(DriverError) as refused:
        await found["theirs"].stop(RunKey("a", 1))
    assert (refused.value.cause, refused.value.permanent) == ("driver-unavailable", False)
    assert await found["theirs"].recover() == []


async def test_a_missing_extra_is_a_fault_only_where_the_driver_is_declared(tmp_path: Path, others: ModuleType) -> None:
    def lacks(context: DriverContext) -> Driver:
        raise ImportError("needs the extra `theirs`")

    others.lacks = lacks  # type: ignore[attr-defined]
    info = await made(tmp_path, (), theirs="others_driver:lacks", **PROCESS)["theirs"].probe()
    assert (info.healthy, info.absent) == (False, True)
    info = await made(tmp_path, ("theirs",), theirs="others_driver:lacks")["theirs"].probe()
    assert (info.healthy, info.absent) == (False, False)
    info = await made(tmp_path, ("nobody",))["nobody"].probe()
    assert (info.healthy, info.absent) == (False, False)
    assert "no driver 'nobody' is installed" in info.detail


async def test_runs_that_a_lost_driver_may_have_are_not_denied(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "something").touch()
    driver = made(tmp_path, (), theirs="no_such_module_anywhere:make", **PROCESS)["theirs"]
    assert not (await driver.probe()).absent
    with pytest.raises(DriverError):
        await driver.recover()
    with pytest.raises(DriverError):
        await anext(driver.watch())


class Named(FakeDriver):
    """One of another name, of which nothing is asked."""

    def __init__(self, name: str) -> None:
        self._named = name

    @property
    def name(self) -> str:
        return self._named
