"""Control groups: which there are, where runs get theirs, what is written into them.

This kernel has version 1, tested with real processes in the integration tests. Version 2 is tested here against plain
files, which shows what is read and written and when, not what a kernel makes of it.
"""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.node.keeper import cgroup, cgroup_files
from omnitide.node.keeper.cgroup import Cgroups
from omnitide.node.keeper.cgroup_mounts import Hierarchy, discover
from omnitide.node.keeper.spec import Limits

PURE_V2 = "25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "33 24 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    "34 24 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
)
V1_OWN = "4:pids:/a\n3:memory:/b/c\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/u\n"


class TestDiscovery:
    def test_version_2(self):
        found = discover(PURE_V2, "0::/user.slice/app.scope\n")
        own = "/sys/fs/cgroup/user.slice/app.scope"
        assert found == {"unified": Hierarchy("unified", "/sys/fs/cgroup", own)}

    def test_version_1_with_the_unified_one_beside(self):
        found = discover(V1, V1_OWN)
        assert {key: hierarchy.own for key, hierarchy in found.items()} == {
            "unified": "/sys/fs/cgroup/unified/u",
            "cpu": "/sys/fs/cgroup/cpu,cpuacct",
            "memory": "/sys/fs/cgroup/memory/b/c",
            "pids": "/sys/fs/cgroup/pids/a",
        }

    def test_a_container_that_sees_a_part(self):
        line = "25 1 0:22 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        assert discover(line, "0::/docker/abc/inner\n")["unified"].own == "/sys/fs/cgroup/inner"
        assert discover(line, "0::/docker/abc\n")["unified"].own == "/sys/fs/cgroup"
        assert discover(line, "0::/docker/abcd\n") == {}
        assert discover(PURE_V2, "0::/../outside\n") == {}

    def test_a_mount_point_with_a_space(self):
        line = "25 1 0:22 / /odd\\040place rw - cgroup2 cgroup2 rw\n"
        assert discover(line, "0::/x\n")["unified"].own == "/odd place/x"

    def test_none(self):
        assert discover("1 1 0:1 / / rw - ext4 /dev/sda rw\n", "") == {}


FILES = {
    "": ("cgroup.procs", "cgroup.subtree_control", "cgroup.events", "cgroup.kill", "cgroup.freeze"),
    "cpu": ("cpu.max", "cpu.stat"),
    "memory": ("memory.max", "memory.swap.max", "memory.oom.group", "memory.events", "memory.current", "memory.stat"),
    "pids": ("pids.max", "pids.current"),
}


class FakeV2:
    """A tree of plain files that looks like version 2, with the given controllers."""

    def __init__(self, root: Path, controllers: str, own: str = "unit.service") -> None:
        self.root = root
        self.controllers = controllers
        root.mkdir()
        self._fill(root)
        self.own = root / own
        self.mkdir(str(self.own))

    def mkdir(self, path: str) -> None:
        Path(path).mkdir()
        self._fill(Path(path))

    def _fill(self, directory: Path) -> None:
        for controller in ("", *self.controllers.split()):
            for name in FILES[controller]:
                (directory / name).touch()
        (directory / "cgroup.controllers").write_text(self.controllers)

    def hierarchies(self, own: Path | None = None) -> dict[str, Hierarchy]:
        return {"unified": Hierarchy("unified", str(self.root), str(own or self.own))}


@pytest.fixture
def as_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def full(tmp_path: Path) -> FakeV2:
    return FakeV2(tmp_path / "cgroup", "cpu memory pids")


class TestVersion2:
    def test_the_keeper_is_in_a_leaf_and_controllers_are_passed_down(self, tmp_path, as_user):
        fake = full(tmp_path)
        groups = Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        base = fake.own / "omnitide-k"
        assert (base / "keeper/cgroup.procs").read_text() == "0"
        for directory in (fake.own, base, base / "instances"):
            assert (directory / "cgroup.subtree_control").read_text().startswith("+")
        assert groups.tracks
        assert groups.enforces == ("cpu", "memory", "pids")
        assert groups.problems == []

    def test_a_run_has_one_group_with_its_limits(self, tmp_path, as_user):
        fake = full(tmp_path)
        groups = Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        made = groups.create("web-1", Limits(cpu_milli=1500, memory_bytes=64 << 20, pids=33))
        group = fake.own / "omnitide-k/instances/run-web-1"
        assert made == {"unified": str(group)}
        assert (group / "cpu.max").read_text() == "150000 100000"
        assert (group / "memory.max").read_text() == str(64 << 20)
        assert (group / "memory.swap.max").read_text() == "0"
        assert (group / "memory.oom.group").read_text() == "1"
        assert (group / "pids.max").read_text() == "33"

    def test_a_run_without_limits_has_nothing_written(self, tmp_path, as_user):
        fake = full(tmp_path)
        made = Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir).create("web-1", Limits())
        for name in ("cpu.max", "memory.max", "pids.max", "memory.oom.group"):
            assert (Path(made["unified"]) / name).read_text() == ""

    def test_the_keeper_never_visits_a_group_that_accounts_for_memory(self, tmp_path, as_user):
        fake = full(tmp_path)
        groups = Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        assert not groups.may_visit(groups.create("web-1", Limits()))
        bare = FakeV2(tmp_path / "bare", "")
        groups = Cgroups(bare.hierarchies(), "k", mkdir=bare.mkdir)
        assert groups.may_visit(groups.create("web-1", Limits()))
        assert not groups.may_visit({})

    def test_only_offered_controllers_are_declared(self, tmp_path, as_user):
        fake = FakeV2(tmp_path / "cgroup", "pids")
        groups = Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        assert groups.tracks
        assert groups.enforces == ("pids",)
        assert any(problem.startswith("memory") for problem in groups.problems)

    def test_without_permission_nothing_is_tracked_or_enforced(self, tmp_path, as_user):
        fake = full(tmp_path)

        def denied(path: str) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", path)

        groups = Cgroups(fake.hierarchies(), "k", mkdir=denied)
        assert not groups.tracks
        assert groups.enforces == ()
        assert "Permission denied" in groups.problems[0]
        assert groups.create("web-1", Limits(pids=3)) == {}

    def test_root_outside_of_a_delegated_unit_makes_its_base_at_the_top(self, tmp_path, as_root):
        fake = full(tmp_path)
        Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        assert (fake.root / "omnitide-k/instances").is_dir()
        assert not (fake.own / "omnitide-k").exists()

    def test_root_in_a_delegated_unit_stays_in_it(self, tmp_path, as_root, monkeypatch):
        fake = full(tmp_path)
        monkeypatch.setattr(os, "getxattr", lambda path, name: b"1" if path == str(fake.own) else b"")
        Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        assert (fake.own / "omnitide-k/instances").is_dir()

    def test_a_keeper_started_from_its_own_leaf_finds_the_same_base(self, tmp_path, as_user):
        fake = full(tmp_path)
        Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        again = Cgroups(fake.hierarchies(fake.own / "omnitide-k/keeper"), "k", mkdir=fake.mkdir)
        assert again.create("web-1", Limits())["unified"] == str(fake.own / "omnitide-k/instances/run-web-1")
        assert again.leftovers() == [{"unified": str(fake.own / "omnitide-k/instances/run-web-1")}]

    def test_the_proxy_is_taken_along_where_the_kernel_wants_inner_groups_empty(self, tmp_path, as_user, monkeypatch):
        fake = full(tmp_path)
        leaf = fake.own / "omnitide-k/keeper/cgroup.procs"
        real = cgroup_files.write

        def kernel(path: str, value: str) -> None:
            if path == str(fake.own / "cgroup.subtree_control") and leaf.read_text() != "4711":
                raise OSError(errno.EBUSY, "Device or resource busy", path)
            real(path, value)

        monkeypatch.setattr(cgroup_files, "write", kernel)
        alone = Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        assert any("busy" in problem for problem in alone.problems)
        groups = Cgroups(fake.hierarchies(), "k", also_move=[4711], mkdir=fake.mkdir)
        assert leaf.read_text() == "4711"
        assert groups.enforces == ("cpu", "memory", "pids")

    def test_a_limit_that_the_kernel_refuses_leaves_no_group(self, tmp_path, as_user, monkeypatch):
        fake = full(tmp_path)
        groups = Cgroups(fake.hierarchies(), "k", mkdir=fake.mkdir)
        real, removed = cgroup_files.write, []

        def kernel(path: str, value: str) -> None:
            if path.endswith("memory.max"):
                raise OSError(errno.EINVAL, "Invalid argument", path)
            real(path, value)

        monkeypatch.setattr(cgroup_files, "write", kernel)
        monkeypatch.setattr(cgroup_files, "remove", lambda made: removed.append(made) or True)
        with pytest.raises(OSError, match="Invalid"):
            groups.create("web-1", Limits(memory_bytes=1))
        assert removed == [{"unified": str(fake.own / "omnitide-k/instances/run-web-1")}]


class TestActs:
    @pytest.fixture
    def group(self, tmp_path) -> Path:
        fake = full(tmp_path)
        return fake.own

    def test_life_is_read_from_the_events(self, group):
        made = {"unified": str(group)}
        (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
        assert cgroup_files.alive(made)
        (group / "cgroup.events").write_text("populated 0\nfrozen 0\n")
        assert not cgroup_files.alive(made)
        assert not cgroup_files.alive({"unified": str(group / "gone")})

    def test_one_write_kills_all(self, group):
        cgroup_files.kill({"unified": str(group)})
        assert (group / "cgroup.kill").read_text() == "1"
        assert (group / "cgroup.freeze").read_text() == ""

    def test_older_kernels_freeze_kill_and_thaw(self, group):
        (group / "cgroup.kill").unlink()
        cgroup_files.kill({"unified": str(group)})
        assert (group / "cgroup.freeze").read_text() == "0"

    def test_the_keeper_never_kills_or_freezes_itself(self, group, monkeypatch):
        """Should it be stuck in a run's group: only the others are killed."""
        written = []
        monkeypatch.setattr(cgroup_files, "write", lambda path, value: written.append((os.path.basename(path), value)))
        (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
        cgroup_files.kill({"unified": str(group)})
        assert written == [("cgroup.freeze", "0")]

    def test_kills_for_want_of_memory_are_counted(self, group):
        made = {"unified": str(group)}
        assert cgroup_files.oom_kills(made) == 0
        (group / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 1\n")
        assert cgroup_files.oom_kills(made) == 2
        (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
        assert cgroup_files.oom_kills({"memory": str(group)}) == 3
        assert cgroup_files.oom_kills({}) == 0

    def test_use_is_read(self, group):
        from omnitide.drivers.keeper_link import WireRun
        from omnitide.drivers.process_usage import measure
        from omnitide.drivers.protocol import RunKey, Usage

        (group / "cpu.stat").write_text("usage_usec 1234567\nuser_usec 1\nsystem_usec 2\n")
        (group / "memory.current").write_text("1000000\n")
        (group / "memory.stat").write_text("anon 5\ninactive_file 400000\n")
        (group / "pids.current").write_text("6\n")
        run = WireRun("web-1", 1, "running", 1, groups={"unified": str(group)})
        assert measure({RunKey("web-1", 1): run}) == {RunKey("web-1", 1): Usage(1234, 600_000, 6)}


@given(st.integers(1, 10_000_000))
def test_a_cpu_quota_is_what_was_asked_within_the_kernels_bounds(milli):
    quota, period = cgroup._quota(milli)
    assert quota >= 1000
    assert 1000 <= period <= 1_000_000
    assert quota * 1000 == milli * period
