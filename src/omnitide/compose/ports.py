"""Which ports of a service are open on its node, at which address and number."""

import ipaddress
from collections.abc import Iterable
from typing import Final

from omnitide.compose.context import Context, Made, Number
from omnitide.compose.quantities import text
from omnitide.compose.running import several
from omnitide.compose.tree import Map, Seq
from omnitide.compose.view import View
from omnitide.model.names import is_name

MAX_PORTS: Final = 32
_EVERYWHERE: Final = ("", "0.0.0.0", "::")
_NODE_ALONE: Final = "127.0.0.1"
_LAST: Final = 65_535
_SHOWN: Final = 12
"""Digits: what has more is no number here, and is not shown whole."""


def ports(view: View, context: Context, made: Made) -> None:
    found: dict[str, dict[str, object]] = {}
    taken: set[Number] = set()
    mode = text(view.data.get("network_mode"))
    for port in view.each("ports"):
        target, protocol = port.whole("target"), port.text("protocol") or "tcp"
        given = port.text("name")
        wrong = _wrong(target, protocol, len(found), mode)
        if wrong or target is None:
            port.report.used(port.path)
            port.report.remark("note" if mode == "host" else "loss", port.path, port.place(), wrong)
            continue
        one: dict[str, object] = {"target": target}
        number = _number(port, protocol, context.numbers, taken, several=several(view.data))
        if number:
            one["port"] = number
        if protocol == "udp":
            one["protocol"] = protocol
        address = _address(port)
        if address:
            one["host_ip"] = address
        name = given if is_name(given) and given not in found else ""
        if given and not name:
            port.note("name", f"{given!r} is no name here, or is taken")
        plain = f"{protocol}-{target}"
        for wanted in (name, plain, f"{plain}-{number}" if number else "", f"{protocol}-{len(found)}-x"):
            if is_name(wanted) and wanted not in found:
                found[wanted] = one
                break
        port.rest()
    if found:
        made["ports"] = found


def _wrong(target: int | None, protocol: str, count: int, mode: str) -> str:
    if mode == "host":
        return "means nothing with network_mode host: what it listens on is open on the node"
    if mode == "none":
        return "cannot be reached with network_mode none"
    if target is None or not 0 < target <= _LAST:
        return "names no port of the container"
    if protocol not in ("tcp", "udp"):
        return f"{protocol!r}: a port is tcp or udp"
    return f"an agent takes {MAX_PORTS} ports" if count >= MAX_PORTS else ""


def fixed_numbers(services: Iterable[Map]) -> set[Number]:
    """The numbers that services ask for by themselves: no range gives them away."""
    found: set[Number] = set()
    for service in services:
        listed = service.get("ports")
        for one in listed if isinstance(listed, Seq) else ():
            published = text(one.get("published")) if isinstance(one, Map) else ""
            if isinstance(one, Map) and _is_number(published):
                found.add((int(published), text(one.get("protocol")) or "tcp"))
    return found


def _is_number(written: str) -> bool:
    return written.isdecimal() and len(written) <= _SHOWN


def _number(port: View, protocol: str, numbers: set[Number], taken: set[Number], *, several: bool) -> int:
    """The node's port; 0: any that is free."""
    published = port.text("published")
    if not published or published == "0":
        return 0
    first, dash, last = published.partition("-")
    if not (_is_number(first) and _is_number(last if dash else first)):
        port.lose("published", f"{published[:_SHOWN]}: is no port: it is given a free one")
        return 0
    if not dash:
        number = int(first)
        if not 0 < number <= _LAST:
            port.lose("published", f"{published}: is no port: it is given a free one")
        elif (number, protocol) in taken:
            port.lose("published", f"{number} is open for another port already: this gets a free one")
        else:
            taken.add((number, protocol))
            return number
        return 0
    if several:
        port.lose("published", f"{published}: replicas share no range of ports: each is given a free one")
        return 0
    for number in range(max(int(first), 1), min(int(last), _LAST) + 1):
        if (number, protocol) not in taken | numbers:
            taken.add((number, protocol))
            numbers.add((number, protocol))
            port.note("published", f"{published}: {number}, the first of them that nothing else here has")
            return number
    port.lose("published", f"{published}: none of them is left: it is given a free one")
    return 0


def _address(port: View) -> str:
    """The node's address at which it is open; empty: at all of them."""
    written = port.text("host_ip")
    if written in _EVERYWHERE:
        return ""
    try:
        ipaddress.ip_address(written)
    except ValueError:
        port.lose("host_ip", f"{written!r} is no address: it is open to the node itself alone")
        return _NODE_ALONE
    if "%" in written:
        port.lose("host_ip", f"{written!r} names an interface: it is open to the node itself alone")
        return _NODE_ALONE
    return written
