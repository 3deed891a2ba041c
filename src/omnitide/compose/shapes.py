"""The many ways in which Compose lets people write one thing, brought into one: mappings for what has keys, long forms
for what has fields, absolute paths. What is merged, read and reported on has this shape."""

import os
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Final

from omnitide.compose import short
from omnitide.compose.files import reader
from omnitide.compose.quantities import NotThat, text
from omnitide.compose.shellwords import split
from omnitide.compose.tree import Map, Place, Seq, refuse

_KEYED: Final = ("environment", "labels", "annotations", "sysctls")
_LISTED: Final = ("dns", "dns_search", "tmpfs", "label_file")
_WORDS: Final = ("command", "entrypoint")
_HOOKS: Final = ("post_start", "pre_start", "pre_stop")


def shape(document: Map, base: FilePath) -> None:
    """Change a document in place; relative paths are below `base`. Raises ManifestError."""
    for kind in ("services", "jobs"):
        for name, service in document.map(kind).items():
            if isinstance(service, Map):
                _service(service, f"{kind}.{name}", base)
    for kind in ("secrets", "configs"):
        for thing in document.map(kind).values():
            if isinstance(thing, Map) and isinstance(thing.get("file"), str):
                thing["file"] = absolute(str(thing["file"]), base)
    for kind in ("secrets", "configs", "volumes", "networks"):
        for thing in document.map(kind).values():
            if isinstance(thing, Map):
                _to_map(thing, "labels")


def absolute(path: str, base: FilePath) -> str:
    """A path of this machine; one of Windows, or an address, stays as it is."""
    if short.is_windows(path) or "://" in path:
        return path
    if path.startswith("~"):
        path = reader().expand(path)  # also `~name` that is nobody
    return os.path.normpath(base / path)


def _service(service: Map, field: str, base: FilePath) -> None:
    for key in _KEYED:
        _to_map(service, key)
    for key in _LISTED:
        _to_list(service, key)
    for key in _WORDS:
        _to_words(service, key, field)
    for key in _HOOKS:
        hooks = service.get(key)
        for index, hook in enumerate(hooks if isinstance(hooks, Seq) else ()):
            if isinstance(hook, Map):
                _to_words(hook, "command", f"{field}.{key}[{index}]")
    _to_map(service.map("deploy"), "labels")
    _map_of_names(service, "networks", None)
    _map_of_names(service, "models", None)
    _map_of_names(service, "depends_on", "service_started")
    _each(service, "ports", field, _ports)
    _each(service, "volumes", field, lambda entry, place: [_volume(entry, place, base)])
    _each(service, "devices", field, lambda entry, place: [_device(entry, place)])
    for key in ("secrets", "configs"):
        _each(service, key, field, lambda entry, place: [_fields(place, source=entry)])
    _to_list(service, "env_file")
    _each(service, "env_file", field, lambda entry, place: [_fields(place, path=entry)])
    _paths_below(service, base)
    _to_list_of_hosts(service)
    if isinstance(service.get("build"), str):
        service["build"] = _fields(service.at("build"), context=service["build"])
    build = service.map("build")
    _to_map(build, "args")
    _to_map(build, "labels")
    if "build" in service and "dockerfile_inline" not in build and isinstance(build.get("context", "."), str):
        build.put("context", absolute(str(build.get("context", ".")), base), build.at("context"))
    if isinstance(service.get("extends"), str):
        service["extends"] = _fields(service.at("extends"), service=service["extends"])
    if isinstance(service.get("gpus"), str):
        service["gpus"] = _fields(service.at("gpus"), count=service["gpus"])
    test = service.map("healthcheck").get("test")
    if isinstance(test, str):
        listed = Seq(service.map("healthcheck").at("test"))
        for word in ("CMD-SHELL", test):
            listed.add(word, listed.place)
        service.map("healthcheck")["test"] = listed


def _fields(place: Place, **values: object) -> Map:
    made = Map(place)
    for key, value in values.items():
        made.put(key, value, place)
    return made


def _to_map(holder: Map, key: str) -> None:
    """`- A=1`, `- A` as keys; a key alone has no value."""
    listed = holder.get(key)
    if isinstance(listed, Seq):
        made = Map(listed.place)
        for entry, place in listed.pairs():
            name, equals, value = text(entry).partition("=")
            made.put(name, value if equals else None, place)
        holder[key] = made


def _to_list(holder: Map, key: str) -> None:
    value = holder.get(key)
    if isinstance(value, str | Map):
        listed = Seq(holder.at(key))
        listed.add(value, listed.place)
        holder[key] = listed


def _to_words(holder: Map, key: str, field: str) -> None:
    value = holder.get(key)
    if not isinstance(value, str):
        return
    listed = Seq(holder.at(key))
    try:
        line = split(value)
        listed.aside = line.rest
        for word in line.words:
            listed.add(word, listed.place)
    except NotThat as error:
        raise refuse(listed.place, f"{field}.{key}", str(error)) from None
    holder[key] = listed


def _map_of_names(holder: Map, key: str, condition: str | None) -> None:
    listed = holder.get(key)
    if isinstance(listed, Seq):
        made = Map(listed.place)
        for entry, place in listed.pairs():
            made.put(text(entry), None if condition is None else _fields(place, condition=condition), place)
        holder[key] = made


def _each(holder: Map, key: str, field: str, form: Callable[[object, Place], list[Map]]) -> None:
    """Bring the short entries of a list into their long form."""
    listed = holder.get(key)
    if not isinstance(listed, Seq):
        return
    made = Seq(listed.place)
    for index, (entry, place) in enumerate(listed.pairs()):
        if isinstance(entry, Map):
            made.add(entry, place)
            continue
        try:
            for one in form(entry, place):
                made.add(one, place)
        except NotThat as error:
            raise refuse(place, f"{field}.{key}[{index}]", str(error)) from None
    holder[key] = made


def _ports(entry: object, place: Place) -> list[Map]:
    made: list[Map] = []
    for one in short.ports(text(entry)):
        port = _fields(place, target=one.target, protocol=one.protocol)
        if one.published:
            port.put("published", one.published, place)
        if one.host_ip:
            port.put("host_ip", one.host_ip, place)
        made.append(port)
    return made


def _volume(entry: object, place: Place, base: FilePath) -> Map:
    one = short.volume(text(entry))
    made = _fields(place, type=one.type)
    if one.source:
        made.put("source", absolute(one.source, base) if one.type == "bind" else one.source, place)
    made.put("target", one.target, place)
    if one.read_only:
        made.put("read_only", True, place)
    for option in one.options:
        if option in short.PROPAGATION:
            made.put("bind", _fields(place, propagation=option), place)
        elif option in ("z", "Z"):
            made.put("bind", _fields(place, selinux=option), place)
        elif option == "nocopy":
            made.put("volume", _fields(place, nocopy=True), place)
        else:
            made.put("consistency", option, place)
    return made


def _device(entry: object, place: Place) -> Map:
    source, _, rest = text(entry).partition(":")
    target, _, permissions = rest.partition(":")
    made = _fields(place, source=source)
    if target:
        made.put("target", target, place)
    if permissions:
        made.put("permissions", permissions, place)
    return made


def _paths_below(service: Map, base: FilePath) -> None:
    """Relative paths of long forms."""
    files = service.get("env_file")
    for entry in files if isinstance(files, Seq) else Seq(service.place):
        if isinstance(entry, Map) and isinstance(entry.get("path"), str):
            entry["path"] = absolute(str(entry["path"]), base)
    volumes = service.get("volumes")
    for entry in volumes if isinstance(volumes, Seq) else Seq(service.place):
        if not isinstance(entry, Map):
            continue
        if entry.get("type") == "bind" and isinstance(entry.get("source"), str):
            entry["source"] = absolute(str(entry["source"]), base)
        if isinstance(entry.get("target"), str):
            entry["target"] = short.clean(str(entry["target"]))
    labels = service.get("label_file")
    if isinstance(labels, Seq):
        for index, path in enumerate(labels):
            labels[index] = absolute(text(path), base)


def _to_list_of_hosts(service: Map) -> None:
    """`host:ip`, `host=ip` and mappings as `host=ip`."""
    hosts = service.get("extra_hosts")
    made = Seq(service.at("extra_hosts"))
    if isinstance(hosts, Map):
        for host, addresses in hosts.items():
            for address in addresses if isinstance(addresses, Seq) else [addresses]:
                made.add(f"{host}={text(address)}", hosts.at(host))
    elif isinstance(hosts, Seq):
        for entry, place in hosts.pairs():
            written = text(entry)
            host, equals, address = written.partition("=")
            if not equals:
                host, _, address = written.partition(":")
            made.add(f"{host}={address.removeprefix('[').removesuffix(']')}", place)
    else:
        return
    service["extra_hosts"] = made
