"""The volumes that a node keeps: which there are, who may have one, and what is left when one is removed."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from omnitide.drivers.protocol import DriverError
from omnitide.model.provisions import Volume
from omnitide.model.spec import AgentSpec
from omnitide.node.records import Assignment, Goal, Phase, Record, Report
from omnitide.node.stimuli import Restored
from omnitide.node.tunnels.talk import Talk
from omnitide.node.volumes import KeptVolumes, kept, users_of
from omnitide.wire import node_pb2 as pb
from support.memory_link import MemoryLink, link_pair

SPEC = msgspec.json.encode(
    AgentSpec(
        command=("x",),
        volumes={
            "data": Volume(target="d"),
            "logs": Volume(target="l", name="shared"),
            "path": Volume(target="p", source="/srv"),
        },
    )
)


def assignment(name: str, namespace: str = "default") -> Assignment:
    return Assignment(
        instance=f"i-{name}",
        name=name,
        namespace=namespace,
        kind="agent",
        workload="web",
        version=1,
        slot=1,
        generation=1,
        goal=Goal.RUN,
        spec_key="s",
    )


def known(*assignments: Assignment, phases: dict[str, Phase] | None = None, spec: bytes = SPEC) -> Restored:
    records = tuple(
        Record(report=Report(instance=one, generation=1, attempt=1, phase=phase, at_ms=0), driver="process")
        for one, phase in (phases or {}).items()
    )
    return Restored(at_ms=0, log_id="l", revision=1, assignments=assignments, specs={"s": spec}, records=records)


@pytest.mark.parametrize(
    ("name", "expected"), [("data", ["web-1.1"]), ("shared", ["web-1.1"]), ("logs", []), ("path", [])]
)
def test_a_volume_is_used_under_its_own_name_and_paths_are_none(name: str, expected: list[str]) -> None:
    assert users_of(known(assignment("web-1.1")), "default", name) == expected
    assert users_of(known(assignment("web-1.1", "other")), "default", name) == []


def test_what_has_ended_uses_nothing_and_what_is_being_ended_may() -> None:
    assert users_of(known(assignment("web-1.1"), phases={"i-web-1.1": Phase.ENDED}), "default", "data") == []
    assert users_of(known(phases={"i-gone": Phase.ENDED}), "default", "data") == []
    (who,) = users_of(known(phases={"i-gone": Phase.STOPPING}), "default", "data")
    assert "i-gone" in who


def test_an_instance_whose_spec_cannot_be_read_may_use_anything() -> None:
    assert users_of(known(assignment("web-1.1"), spec=b"{"), "default", "data") == ["web-1.1"]
    newer = msgspec.json.encode({"volumes": {"data": {"target": "d", "of_tomorrow": 1}}, "tomorrow": True})
    assert users_of(known(assignment("web-1.1"), spec=newer), "default", "data") == ["web-1.1"]


def test_only_folders_with_names_of_volumes_are_told_of(tmp_path: Path) -> None:
    for path in ("default/b", "default/a", "other/c", ".removed/x", "default/Not-A-Name"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "default" / "link").symlink_to(tmp_path)
    (tmp_path / "default" / "a" / "file").write_bytes(b"x" * 10_000)
    assert [(one.namespace, one.name) for one in kept(tmp_path)] == [("default", "a"), ("default", "b"), ("other", "c")]
    assert kept(tmp_path)[0].size >= 10_000
    assert kept(tmp_path / "none") == []


def left(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*"))


async def removed(folder: Path, name: str, state: Restored) -> None:
    near: MemoryLink[pb.TunnelFrame, pb.TunnelFrame]
    far: MemoryLink[pb.TunnelFrame, pb.TunnelFrame]
    near, far = link_pair()
    await KeptVolumes(folder, lambda: state).remove(Talk(near), pb.EraseVolumeRequest(namespace="default", name=name))
    assert (await asyncio.wait_for(far.receive(), 10)).end


async def test_a_used_one_stays_and_a_removed_one_takes_the_rest_of_a_crash_with_it(tmp_path: Path) -> None:
    closed = tmp_path / "default" / "data" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").write_text("x")
    closed.chmod(0o500)
    (tmp_path / ".removed" / "default.old.1234" / "deep").mkdir(parents=True)
    with pytest.raises(DriverError) as refused:
        await removed(tmp_path, "data", known(assignment("web-1.1")))
    assert refused.value.cause == "in-use"
    assert (closed / "file").is_file()
    with pytest.raises(DriverError) as refused:
        await removed(tmp_path, "nothing", known())
    assert refused.value.cause == "no-such-volume"
    await removed(tmp_path, "data", known())
    assert left(tmp_path) == [".removed"]


async def test_a_name_that_leads_elsewhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "volumes" / "default").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (tmp_path / "volumes" / "default" / "link").symlink_to(tmp_path / "precious")
    for name in ("../../precious", "link", "", ".."):
        with pytest.raises(DriverError) as refused:
            await removed(tmp_path / "volumes", name, known())
        assert refused.value.cause == "no-such-volume"
    assert (tmp_path / "precious").is_dir()
