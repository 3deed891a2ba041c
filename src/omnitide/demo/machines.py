"""The machines of a demo: what people have, in halls, offices, clouds and fields. Pure: seed and number make them."""

from typing import Final, NamedTuple

from omnitide.demo.chance import between, draw, weighted
from omnitide.demo.world import busy

GIB: Final = 1 << 30


class Kind(NamedTuple):
    word: str
    """Of its names."""
    model: str
    cores: int
    memory_gib: int
    disk_gib: int
    system: str
    drivers: tuple[str, ...] = ("docker", "process", "wasm")
    arch: str = "x86_64"
    os: str = "linux"
    disk: str = "ssd"
    gpu: str = ""
    link: str = "lan"
    mbit: int = 1000
    """Of its way to the registry of images."""


_SMALL: Final = ("process", "wasm")

KINDS: Final = (
    Kind("rack", "Dell PowerEdge R7525", 64, 256, 3840, "Debian GNU/Linux 12", mbit=10_000),
    Kind("rack", "HPE ProLiant DL380 Gen10", 48, 192, 1920, "Rocky Linux 9", mbit=10_000),
    Kind("rack", "Dell PowerEdge R630", 24, 128, 960, "Debian GNU/Linux 12", mbit=10_000),
    Kind("altra", "Ampere Altra Q80", 80, 256, 1920, "Ubuntu 24.04 LTS", arch="aarch64", mbit=10_000),
    Kind("store", "Supermicro SSG-6029P", 32, 192, 184_320, "Debian GNU/Linux 12", disk="hdd", mbit=10_000),
    Kind("gpu", "Supermicro AS-4124GO", 64, 512, 7680, "Ubuntu 22.04 LTS", gpu="a100", mbit=10_000),
    Kind("tower", "Threadripper tower", 32, 128, 3840, "Ubuntu 24.04 LTS", gpu="rtx4090"),
    Kind("ws", "HP Z4 G5", 16, 64, 1920, "Fedora Linux 41"),
    Kind("desk", "Dell OptiPlex 7090", 8, 16, 480, "Linux Mint 22"),
    Kind("desk", "Lenovo ThinkCentre M75q", 8, 32, 480, "Ubuntu 24.04 LTS"),
    Kind("nuc", "Intel NUC 11", 4, 16, 240, "Debian GNU/Linux 12"),
    Kind("nuc", "ASUS NUC 14 Pro", 14, 32, 960, "Fedora Linux 41"),
    Kind("pi", "Raspberry Pi 4 Model B", 4, 4, 64, "Raspberry Pi OS 12", _SMALL, arch="aarch64", mbit=300),
    Kind("pi", "Raspberry Pi 5", 4, 8, 128, "Raspberry Pi OS 12", arch="aarch64", mbit=600),
    Kind("cbox", "ASUS Chromebox 4", 4, 8, 128, "ChromeOS Flex 131", _SMALL),
    Kind("book", "Acer Chromebook Spin 714", 8, 8, 256, "ChromeOS 131", _SMALL, link="wifi", mbit=200),
    Kind("mini", "Apple Mac mini M2", 8, 16, 480, "macOS 15.1", _SMALL, arch="arm64", os="darwin"),
    Kind("vm", "cloud VM, 2 vCPU", 2, 4, 40, "Ubuntu 24.04 LTS", link="wan", mbit=2000),
    Kind("vm", "cloud VM, 8 vCPU", 8, 32, 160, "Debian GNU/Linux 12", link="wan", mbit=5000),
    Kind("vm", "cloud VM, 32 vCPU", 32, 128, 640, "Amazon Linux 2023", link="wan", mbit=10_000),
    Kind("edge", "Advantech UNO-2484G", 4, 8, 240, "Yocto 5.0", link="lte", mbit=20),
    Kind("cam", "Jetson Orin Nano", 6, 8, 128, "Ubuntu 22.04 LTS", arch="aarch64", gpu="orin", link="lte", mbit=40),
)


class Zone(NamedTuple):
    name: str
    short: str
    weight: float
    """How many of all machines are here."""
    kinds: tuple[tuple[int, float], ...]
    """Numbers in KINDS, and how common they are."""


ZONES: Final = (
    Zone("hall-a", "a", 17, ((0, 5), (1, 4), (2, 4), (4, 1), (5, 1))),
    Zone("hall-b", "b", 14, ((1, 4), (2, 3), (3, 3), (4, 1))),
    Zone("cloud-eu", "eu", 15, ((17, 4), (18, 5), (19, 1))),
    Zone("cloud-us", "us", 11, ((17, 4), (18, 5), (19, 1))),
    Zone("office-north", "north", 12, ((8, 4), (9, 3), (10, 3), (11, 2), (14, 2), (15, 2), (16, 1))),
    Zone("office-south", "south", 9, ((8, 4), (9, 3), (10, 2), (14, 2), (15, 2), (16, 1))),
    Zone("lab", "lab", 9, ((6, 2), (7, 3), (12, 2), (13, 4), (5, 1))),
    Zone("harbour", "harbour", 7, ((20, 4), (21, 2), (12, 1))),
    Zone("fields", "fields", 6, ((20, 3), (12, 3), (21, 1))),
)

_FIRST: Final = (("hall-a", 0), ("harbour", 20), ("office-north", 11), ("lab", 13), ("cloud-eu", 18), ("hall-b", 3))
"""However few there are: some of all sorts."""


class Machine(NamedTuple):
    name: str
    kind: Kind
    zone: str
    address: str

    @property
    def labels(self) -> dict[str, str]:
        found = {"zone": self.zone, "kind": self.kind.word, "disk": self.kind.disk, "link": self.kind.link}
        return {**found, "gpu": self.kind.gpu} if self.kind.gpu else found

    @property
    def cpu_milli(self) -> int:
        return self.kind.cores * 1000

    @property
    def memory_bytes(self) -> int:
        return self.kind.memory_gib * GIB

    @property
    def disk_bytes(self) -> int:
        return self.kind.disk_gib * GIB


def machines(number: int, seed: int) -> list[Machine]:
    """The first of many are the same as few of them."""
    found: list[Machine] = []
    counts: dict[str, int] = {}
    zones = {zone.name: zone for zone in ZONES}
    for index in range(number):
        if index < len(_FIRST):
            name, kind = _FIRST[index]
            zone = zones[name]
        else:
            zone = weighted([(one, one.weight) for one in ZONES], seed, "zone", index)
            kind = weighted(zone.kinds, seed, "kind", index)
        stem = f"{KINDS[kind].word}-{zone.short}"
        counts[stem] = counts.get(stem, 0) + 1
        # Of the addresses that are set aside for measurements (RFC 2544): nobody's.
        address = f"198.{18 + index // 64_516}.{index // 254 % 254}.{index % 254 + 1}"
        found.append(Machine(f"{stem}-{counts[stem]:03}", KINDS[kind], zone.name, address))
    return found


_USERS: Final = frozenset({"desk", "ws", "nuc", "mini", "cbox", "book", "tower"})
"""People sit in front of these."""


def own_load(machine: Machine, seed: int, hour: float) -> float:
    """Share of its processors that a machine uses for what is not the fabric's: people's own work, other tenants."""
    base = between(0.02, 0.3, seed, "base", machine.name) ** 1.5
    if machine.kind.word in _USERS:
        return base + between(0.05, 0.45, seed, "user", machine.name) * busy("office", hour)
    return base + between(0.0, 0.3, seed, "tenants", machine.name) * busy("day", hour)


def own_memory(machine: Machine, seed: int) -> float:
    """Share of its memory, in the same way."""
    return between(0.06, 0.45, seed, "memory", machine.name)


def boot_id(machine: Machine, seed: int, boots: int) -> str:
    return f"{int(draw(seed, 'boot', machine.name, boots) * (1 << 52)):013x}"
