"""Where a container is reached and what it is called: ports, addresses of the node, names in its network."""

import asyncio
import json
import subprocess

import pytest

from omnitide.drivers.protocol import DriverError, PortBinding
from omnitide.model.container import Container, Ulimit
from support.container_engine import DockerEngine
from support.driver_kit import Kit, all_of

IMAGE = "conform:1"
TRIES = 5


def bound(name: str, host: int, target: int, protocol: str = "tcp", host_ip: str = "") -> PortBinding:
    return PortBinding(name=name, host=host, target=target, protocol=protocol, host_ip=host_ip)  # type: ignore[arg-type]


async def listening(engine: DockerEngine) -> set[str]:
    """`tcp 0.0.0.0:8081` and so on, in the engine's network."""
    words = engine.within("ss", "-Htuln")
    said = (await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=True)).stdout
    return {f"{fields[0]} {fields[4]}" for fields in map(str.split, said.splitlines())}


async def test_two_ports_of_the_node_may_lead_to_one_of_the_container(docker: Kit, engine: DockerEngine) -> None:
    ports = [bound("web", 8081, 80), bound("admin", 8082, 80)]
    await docker.start("a", "run", ports=ports)
    assert {"tcp 0.0.0.0:8081", "tcp 0.0.0.0:8082"} <= await listening(engine)


async def test_a_number_is_open_for_both_protocols(docker: Kit, engine: DockerEngine) -> None:
    await docker.start("a", "run", ports=[bound("tcp", 8083, 53), bound("udp", 8083, 53, "udp")])
    assert {"tcp 0.0.0.0:8083", "udp 0.0.0.0:8083"} <= await listening(engine)


async def test_a_port_is_open_at_one_address_of_the_node_alone(docker: Kit, engine: DockerEngine) -> None:
    await docker.start("a", "run", ports=[bound("web", 8084, 80, host_ip="127.0.0.1")])
    open_at = {one for one in await listening(engine) if one.endswith(":8084")}
    assert open_at == {"tcp 127.0.0.1:8084"}
    with pytest.raises(DriverError) as refused:
        await docker.start("b", "run", ports=[bound("web", 8085, 80, host_ip="192.0.2.7")])
    assert (refused.value.cause, refused.value.permanent) == ("host-ip", True)
    assert not [name for name in docker.left() if "-b-" in name]


async def test_it_has_further_names_in_its_network(docker: Kit, engine: DockerEngine) -> None:
    await docker.start("a", "run", container=Container(image=IMAGE, network="shop", aliases=("cart", "cart.internal")))
    (name,) = [one for one in docker.left() if "-a-" in one]
    said = engine.docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", name).stdout
    ((network, endpoint),) = json.loads(said).items()
    assert network.endswith("shop")
    assert {"a", "cart", "cart.internal"} <= set(endpoint["Aliases"])


async def test_it_has_its_name_also_in_the_network_of_the_node(docker: Kit, engine: DockerEngine) -> None:
    await docker.start("a", "run", container=Container(image=IMAGE, network="host", hostname="somewhere"))
    (name,) = [one for one in docker.left() if "-a-" in one]
    pid = engine.docker("inspect", "--format", "{{.State.Pid}}", name).stdout.strip()
    words = ["nsenter", f"--uts=/proc/{pid}/ns/uts", "--", "uname", "--nodename"]
    said = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=True)
    assert said.stdout == "somewhere\n"


TRIES = 5


async def test_a_limit_has_a_soft_and_a_hard_side(docker: Kit) -> None:
    part = Container(
        image=IMAGE, ulimits={"nofile": Ulimit(soft=500, hard=600), "core": 0, "stack": Ulimit(soft=1 << 20, hard=-1)}
    )
    await docker.start("a", "run", container=part)
    limits: dict[str, list[str]] = {}
    # Go's start raises the soft side in runc's child if it comes between (opencontainers/runc#4195): seldom.
    for _ in range(TRIES):
        program = await docker.exec("a", "read", "/proc/self/limits")
        out, _, _ = await all_of(program)
        await program.close()
        limits = {line[:26].strip(): line[26:].split()[:2] for line in out.decode().splitlines()}
        if limits["Max open files"] != ["600", "600"]:
            break
    assert limits["Max open files"] == ["500", "600"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max stack size"] == [str(1 << 20), "unlimited"]


async def test_a_user_that_the_container_does_not_know_is_refused_with_its_name(docker: Kit) -> None:
    await docker.start("a", "run")
    for user in ("nobody-of-that-name", "0:no-such-group"):
        with pytest.raises(DriverError) as refused:
            await docker.exec("a", "who", user=user)
        assert (refused.value.cause, refused.value.permanent) == ("user", True)
        assert user.rpartition(":")[2] in str(refused.value)
    program = await docker.exec("a", "who", user="1234:77")
    assert (await all_of(program))[0] == b"1234 77\n"
    await program.close()
