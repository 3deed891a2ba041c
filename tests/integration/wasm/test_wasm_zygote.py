"""The zygote's children: born in their control group, and alike in nothing that must not be alike."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.wasm.conftest import Modules
from omnitide.node.keeper.launch import stop_keeper
from support import wasm_modules as text


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Modules]:
    """Without control groups."""
    pytest.importorskip("wasmtime")
    modules = Modules(tmp_path / "bare", cgroup="off")
    try:
        yield modules
    finally:
        await modules.driver.close()
        await asyncio.to_thread(stop_keeper, modules.keeper, stop_runs=True, grace_ms=0)


def unified_groups(of: str) -> list[str]:
    """The group of version 2 of a process; none where a keeper has made none of that version."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " cgroup2 " in line]
    if not any(found for mount in mounted for found in Path(mount).rglob("instances")):
        return []
    return [line for line in Path(f"/proc/{of}/cgroup").read_text().splitlines() if line.startswith("0::")]


async def test_a_run_is_in_its_control_group_from_its_first_moment(wasm: Modules, tmp_path: Path) -> None:
    run = await wasm.start("one", text.lay(tmp_path, text.says("up", forever=True)))
    groups = unified_groups(run.handle)
    if not groups:
        pytest.skip("no control groups of version 2 for a keeper here")
    assert groups[0].endswith("/run-one")


async def drawn(modules: Modules, folder: Path) -> set[bytes]:
    """What so many runs drew at random."""
    module = text.lay(folder, text.CHANCE)
    found: set[bytes] = set()
    for number in range(6):
        await modules.run(f"run-{number}", module)
        found.add(await modules.output(f"run-{number}"))
    assert {len(one) for one in found} == {16}
    return found


async def test_no_two_runs_draw_the_same_random_numbers(wasm: Modules, tmp_path: Path) -> None:
    assert len(await drawn(wasm, tmp_path)) == 6


async def test_nor_do_they_without_control_groups(bare: Modules, tmp_path: Path) -> None:
    assert len(await drawn(bare, tmp_path)) == 6
