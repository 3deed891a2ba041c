"""The short forms of ports and volumes, as compose-go reads them."""

import ipaddress
import posixpath
import re
from typing import Final, NamedTuple

from omnitide.compose.quantities import NotThat

MAX_RANGE: Final = 1024
"""Ports of one entry."""
PROPAGATION: Final = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


class PortForm(NamedTuple):
    target: int
    published: str
    """A number, a range of which any will do, or empty: any."""
    protocol: str
    host_ip: str


def ports(entry: str) -> list[PortForm]:
    """`[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each of which may be a range. Raises NotThat."""
    body, _, protocol = entry.partition("/")
    protocol = protocol.lower() or "tcp"
    front, colon, target = body.rpartition(":")
    address, _, host = front.rpartition(":") if colon else ("", "", "")
    if colon and front.endswith("]"):
        address, host = front, ""
    address = address.removeprefix("[").removesuffix("]")
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise NotThat(f"{entry!r}: {address!r} is no address: write 127.0.0.1:8080:80") from None
    targets, hosts = _range(target, entry), _range(host, entry) if host else []
    if not targets:
        raise NotThat(f"{entry!r} is no port: write 8080:80, 127.0.0.1:8080:80 or 53:53/udp")
    if protocol not in ("tcp", "udp", "sctp"):
        raise NotThat(f"{entry!r}: {protocol!r} is no protocol")
    if hosts and len(hosts) != len(targets):
        if len(targets) > 1:
            raise NotThat(f"{entry!r}: the two ranges are not equally long")
        return [PortForm(targets[0], host, protocol, address)]
    published = [str(one) for one in hosts] or [""] * len(targets)
    return [PortForm(one, outside, protocol, address) for one, outside in zip(targets, published, strict=True)]


def _range(text: str, entry: str) -> list[int]:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text.strip())
    if match is None:
        raise NotThat(f"{entry!r} is no port: write 8080:80, 127.0.0.1:8080:80 or 53:53/udp")
    first, last = int(match[1]), int(match[2] or match[1])
    if last > 65535 or last < first:
        raise NotThat(f"{entry!r}: {text} are no ports")
    if last - first >= MAX_RANGE:
        raise NotThat(f"{entry!r} has {last - first + 1} ports, {MAX_RANGE} are the most that are read")
    return list(range(first, last + 1))


class VolumeForm(NamedTuple):
    type: str
    source: str
    target: str
    read_only: bool
    options: tuple[str, ...]
    """Others than ro and rw."""


def volume(entry: str) -> VolumeForm:
    """`[SOURCE:]TARGET[:MODE]`; a drive letter belongs to its path. Raises NotThat."""
    if not entry:
        raise NotThat("an empty volume")
    parts: list[str] = []
    current = ""
    for index, sign in enumerate(entry):
        drive = len(current) == 1 and current.isalpha() and entry[index + 1 : index + 2] in ("\\", "/")
        if sign == ":" and not (drive and (not parts or len(parts) == 1)):
            parts.append(current)
            current = ""
        else:
            current += sign
    parts.append(current)
    if not all(parts):
        raise NotThat(f"{entry!r} is no volume: nothing stands before or after a colon")
    if len(parts) > 3:
        raise NotThat(f"{entry!r} is no volume: it has too many colons")
    source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    options = tuple(parts[2].split(",")) if len(parts) == 3 else ()
    kind = "bind" if is_path(source) else "volume"
    kept = tuple(option for option in options if option not in ("ro", "rw", ""))
    return VolumeForm(kind, source, clean(target), "ro" in options, kept)


def is_path(source: str) -> bool:
    return source.startswith((".", "/", "~", "\\\\")) or is_windows(source)


def is_windows(path: str) -> bool:
    return path.startswith("\\\\") or (len(path) > 1 and path[0].isalpha() and path[1] == ":")


def clean(path: str) -> str:
    return posixpath.normpath(path).replace("//", "/") if path.startswith("/") else path
