"""What only containers have: what is asked of the engine for a spec, and networks."""

import asyncio
import io
import signal
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from omnitide.drivers.docker.answers import ExecState
from omnitide.drivers.docker.containers import inspect
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.notes import Notes, Stop
from omnitide.drivers.docker.stopping import Stops
from omnitide.drivers.protocol import DriverError, Mount, PortBinding, RunKey
from omnitide.model.container import Container
from omnitide.model.probes import Probe
from omnitide.node.probes.asking import NeverAsked, Target, ask
from support.container_engine import DockerEngine
from support.driver_kit import Kit, all_of

IMAGE = "conform:1"
MIB = 1 << 20


def made(kit: Kit, engine: DockerEngine, instance: str) -> dict[str, dict[str, object]]:
    (name,) = [name for name in kit.left() if f"-{instance}-" in name]
    return engine.inspect(name)  # type: ignore[return-value]


async def test_little_is_allowed_by_default(docker: Kit, engine: DockerEngine) -> None:
    await docker.start("a", "run")
    found = made(docker, engine, "a")
    host = found["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert host["Privileged"] is False
    status = await docker.exec("a", "say", "x")
    await all_of(status)
    await status.close()
    pid = engine.inspect(next(name for name in docker.left() if "-a-" in name))["State"]["Pid"]  # type: ignore[index]
    lines = (await asyncio.to_thread(Path(f"/proc/{pid}/status").read_text)).splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


async def test_what_the_spec_says_is_what_the_engine_is_asked(
    docker: Kit, engine: DockerEngine, tmp_path: Path
) -> None:
    (tmp_path / "given").mkdir()
    part = Container(
        image=IMAGE,
        capabilities=("NET_BIND_SERVICE",),
        read_only=True,
        tmpfs={"/scratch": MIB},
        shm_size=2 * MIB,
        ulimits={"nofile": 512},
        sysctls={"net.ipv4.ip_unprivileged_port_start": "80"},
        groups=("4242",),
        hostname="somewhere",
        extra_hosts={"other": "10.1.2.3"},
        dns=("10.9.9.9",),
        tty=True,
        init=False,
        devices=("/dev/null:/dev/nothing",),
    )
    mounts = [Mount(str(tmp_path / "given"), "/given", read_only=True)]
    await docker.start("a", "run", container=part, user="1000:1001", mounts=mounts)
    found = made(docker, engine, "a")
    host, config = found["HostConfig"], found["Config"]
    assert host["CapAdd"] == ["CAP_NET_BIND_SERVICE"]
    assert (host["ReadonlyRootfs"], host["Tmpfs"], host["ShmSize"]) == (True, {"/scratch": f"size={MIB}"}, 2 * MIB)
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 512, "Soft": 512}]
    assert (host["GroupAdd"], host["ExtraHosts"], host["Dns"]) == (["4242"], ["other:10.1.2.3"], ["10.9.9.9"])
    assert (config["Hostname"], config["User"], config["Tty"]) == ("somewhere", "1000:1001", True)
    assert [(one["Source"], one["Destination"], one["RW"]) for one in found["Mounts"]] == [  # type: ignore[index]
        (str(tmp_path / "given"), "/given", False)
    ]
    program = await docker.exec("a", "who")
    assert (await all_of(program))[0] == b"1000 1001\n"
    await program.close()


async def test_the_output_of_a_terminal_is_kept_as_well(docker: Kit) -> None:
    await docker.start("a", "say", "one", "two", container=Container(image=IMAGE, tty=True))
    await docker.end_of("a")
    assert (await docker.text("a")).replace("\r", "") == "one\ntwo\n"


async def test_input_stays_open_where_the_spec_says_so(docker: Kit, engine: DockerEngine) -> None:
    await docker.start("a", "run")
    await docker.start("b", "run", container=Container(image=IMAGE, stdin_open=True))

    def given(instance: str) -> str:
        return str(Path(f"/proc/{made(docker, engine, instance)['State']['Pid']}/fd/0").readlink())

    assert given("a") == "/dev/null"
    assert given("b").startswith("pipe:"), "which nobody closes: a program that reads it waits"


async def test_files_unpacked_belong_to_the_user_of_the_container(docker: Kit, engine: DockerEngine) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("deep/" + "x" * 120)
        member.size = 700
        # Of which pax writes a record, that would win over the header.
        member.uid = member.gid = 3_000_000
        tar.addfile(member, io.BytesIO(b"y" * 700))
    whole = data.getvalue()

    async def slowly() -> AsyncIterator[bytes]:
        for at in range(0, len(whole), 333):
            yield whole[at : at + 333]

    await docker.start("a", "run", user="1234:1235")
    await docker.driver.extract("a", "/", slowly())
    back = b"".join([piece async for piece in docker.driver.archive("a", "deep")])
    with tarfile.open(fileobj=io.BytesIO(back)) as tar:
        files = [one for one in tar.getmembers() if one.isfile()]
        assert [(one.uid, one.gid, one.size) for one in files] == [(1234, 1235, 700)]


async def test_a_port_is_published_and_a_busy_one_is_named(docker: Kit, engine: DockerEngine) -> None:
    port = [PortBinding(name="web", host=8088, target=80)]
    await docker.start("a", "run", ports=port)
    found = made(docker, engine, "a")
    assert found["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8088"}]}
    words = engine.within("ss", "-Htln")
    reached = (await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=True)).stdout
    assert ":8088" in reached
    with pytest.raises(DriverError) as refused:
        await docker.start("b", "run", ports=port)
    assert (refused.value.cause, str(refused.value)) == ("port-busy", "8088")
    assert not [name for name in docker.left() if "-b-" in name]


async def test_a_named_network_is_made_with_its_first_and_gone_with_its_last(docker: Kit, engine: DockerEngine) -> None:
    part = Container(image=IMAGE, network="backend")

    def networks() -> list[str]:
        return engine.docker(
            "network", "ls", "--format", "{{.Name}}", "--filter", "label=omnitide.network"
        ).stdout.split()

    await asyncio.gather(docker.start("a", "run", container=part), docker.start("b", "run", container=part))
    (network,) = networks()
    assert "backend" in network
    found = made(docker, engine, "a")
    assert "a" in found["NetworkSettings"]["Networks"][network]["Aliases"]  # type: ignore[index]
    assert (await docker.driver.address(RunKey("a", 1))).count(".") == 3
    for instance in ("a", "b"):
        assert networks()
        await docker.driver.stop(RunKey(instance, 1), grace_ms=0)
        await docker.end_of(instance)
        await docker.driver.remove_instance(instance)
    assert networks() == []


async def test_without_a_network_there_is_no_address(docker: Kit) -> None:
    await docker.start("a", "run", container=Container(image=IMAGE, network="none"))
    with pytest.raises(DriverError) as refused:
        await docker.driver.address(RunKey("a", 1))
    assert refused.value.cause == "no-address"
    probe = Probe(type="tcp", port="http")
    target = Target(docker.driver, RunKey("a", 1), (PortBinding("http", 80, 80),))
    with pytest.raises(NeverAsked, match="the container has no network"):
        await ask(probe, target)
    await docker.start("b", "run", container=Container(image=IMAGE, network="host"))
    assert await docker.driver.address(RunKey("b", 1)) == "127.0.0.1"


def now_of(engine: DockerEngine) -> str:
    return engine.docker("info", "--format", "{{.SystemTime}}").stdout.strip()


def signals(engine: DockerEngine, name: str, since: str) -> list[tuple[int, int]]:
    """Those that a container was sent, by the engine's own record: when, in nanoseconds, and which."""
    words = (
        "events",
        "--since",
        since,
        "--until",
        now_of(engine),
        "--filter",
        "event=kill",
        "--filter",
        f"container={name}",
    )
    told = engine.docker(*words, "--format", "{{.TimeNano}} {{.Actor.Attributes.signal}}").stdout
    return [(int(line.split()[0]), int(line.split()[1])) for line in told.splitlines()]


async def test_the_grace_is_what_was_asked_for_whole(docker: Kit, engine: DockerEngine) -> None:
    began = now_of(engine)
    await docker.start("a", "stubborn", stop_grace_ms=60_000)
    await docker.until_output("a", "ready")
    (name,) = docker.left()
    await docker.driver.stop(RunKey("a", 1), grace_ms=1_500)
    run = await docker.end_of("a")
    assert run.exit is not None
    assert run.exit.reason == "killed"
    (asked_at, asked), (killed_at, killed) = signals(engine, name, began)
    assert (asked, killed) == (signal.SIGTERM, signal.SIGKILL)
    assert killed_at - asked_at > 1_400_000_000


async def test_of_two_graces_the_one_that_is_over_first_counts(
    docker: Kit, engine: DockerEngine, tmp_path: Path
) -> None:
    await docker.start("a", "stubborn")
    await docker.until_output("a", "ready")
    (name,) = docker.left()
    now = 5_000
    notes = Notes(str(tmp_path / "notes"))
    stops = Stops(notes, lambda: now)
    client = Engine(engine.host)
    await client.open()
    found = await inspect(client, name)
    assert found is not None
    try:
        stops.begin(client, found, 600_000)
        assert notes.stop(name) == Stop(5_000, 600_000)
        now = 6_000
        for grace in (599_000, 700_000):
            stops.begin(client, found, grace)
            assert notes.stop(name) == Stop(5_000, 600_000), "one that is over later prolongs nothing"
        await stops.close()
        stops = Stops(notes, lambda: now)  # the next node proxy's
        stops.begin(client, found, 700_000)
        assert notes.stop(name) == Stop(5_000, 600_000)
        now = 9_000
        stops.begin(client, found, 300)
        assert notes.stop(name) == Stop(5_000, 4_300)
        run = await docker.end_of("a")
        assert run.exit is not None
        assert run.exit.signal == signal.SIGKILL
        assert notes.stop(name) == Stop(5_000, 4_300, killed=True)
    finally:
        await stops.close()
        await client.close()


async def test_what_is_to_be_done_before_a_stop_is_done(docker: Kit) -> None:
    await docker.start("a", "heed", pre_stop=("/conform", "write", "/done", "yes"), stop_grace_ms=2_000)
    await docker.until_output("a", "ready")
    await docker.driver.stop(RunKey("a", 1))
    run = await docker.end_of("a")
    assert run.exit is not None
    # It never comes back: its signal has to wait until the grace is over, which ends both.
    assert run.exit.reason == "killed"
    assert b"yes" in b"".join([piece async for piece in docker.driver.archive("a", "/done")])


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({"container": Container(image=IMAGE, entrypoint=("/no/such",), init=False)}, "command-not-found"),
        ({"user": "nobody-of-that-name"}, "user"),
        ({"mounts": [Mount("/no/such/place", "/x")]}, "mount"),
        ({"container": Container(image=IMAGE, devices=("/dev/no-such",))}, "device"),
        ({"container": Container(image=IMAGE, capabilities=("NO_SUCH",))}, "invalid"),
    ],
)
async def test_what_cannot_be_started_says_why_and_leaves_nothing(
    docker: Kit, more: dict[str, object], cause: str
) -> None:
    with pytest.raises(DriverError) as refused:
        await docker.start("a", "run", **more)
    assert refused.value.cause == cause, str(refused.value)
    assert docker.left() == []
    assert (await docker.driver.probe()).healthy


async def test_a_container_that_others_remove_has_ended(docker: Kit, engine: DockerEngine) -> None:
    await docker.start("a", "run")
    watch = docker.driver.watch()
    first = asyncio.ensure_future(anext(watch))
    await docker.driver.recover()
    await asyncio.to_thread(engine.docker, "rm", "--force", docker.left()[0])
    async with asyncio.timeout(30):
        run = await first
        while run.exit is None:
            run = await anext(watch)
    assert run.key == RunKey("a", 1)
    assert await docker.driver.recover() == []


async def test_an_engine_that_passes_output_on_before_it_knows_the_process(
    docker: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await docker.start("a", "run")
    program = await docker.exec("a", "heed")
    assert getattr(await program.receive(), "data", b"") == b"ready\n"
    asked = Engine.call
    late = iter(range(3))

    async def call(self: Engine, method: str, path: str, answer: type[object], **more: object) -> object:
        found = await asked(self, method, path, answer, **more)  # type: ignore[arg-type]
        if isinstance(found, ExecState) and next(late, None) is not None:
            return replace(found, pid=0)
        return found

    monkeypatch.setattr(Engine, "call", call)
    await program.signal(15)
    out, _, ended = await all_of(program)
    await program.close()
    assert (out, ended.code) == (b"signal 15\n", 0)
    assert next(late, None) is None
