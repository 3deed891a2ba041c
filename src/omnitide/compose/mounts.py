"""Volumes, paths of the node and memory file systems."""

import posixpath
from typing import Final

from omnitide.compose.containers import tmpfs_size
from omnitide.compose.context import Context, Made
from omnitide.compose.quantities import NotThat, size, text
from omnitide.compose.report import Creation
from omnitide.compose.running import several
from omnitide.compose.short import is_windows
from omnitide.compose.tree import Map
from omnitide.compose.view import View
from omnitide.model.host_paths import is_sensitive

MAX_VOLUMES: Final = 64
MAX_TMPFS: Final = 32
_MAX_PATH: Final = 4096


def mounts(view: View, context: Context, made: Made, own: Made) -> None:
    """`own` becomes the manifest's `container`."""
    volumes: dict[str, object] = {}
    tmpfs: dict[str, int] = {}
    for written, place, path in view.entries("tmpfs"):
        target, _, options = written.partition(":")
        try:
            room, left = tmpfs_size(options)
        except NotThat as error:
            room, left = 0, [str(error)]
        if wrong := _target(target) or (len(tmpfs) >= MAX_TMPFS and f"a container takes {MAX_TMPFS} of them here"):
            view.report.remark("loss", path, place, str(wrong))
            continue
        tmpfs[target] = room
        if left:
            view.report.remark("loss", path, place, f"{', '.join(left)}: only the size is passed on")
    for mount in view.each("volumes"):
        full = len(volumes) >= MAX_VOLUMES and f"an agent takes {MAX_VOLUMES} volumes"
        if text(mount.data.get("type")) == "tmpfs":
            full = len(tmpfs) >= MAX_TMPFS and f"a container takes {MAX_TMPFS} of them here"
        if wrong := _unmountable(mount) or full:
            mount.report.used(mount.path)
            mount.report.remark("loss", mount.path, mount.place(), str(wrong))
        elif mount.text("type") == "tmpfs":
            target = mount.text("target")
            tmpfs[target] = _tmpfs(mount)
        else:
            _volume(mount, context, volumes, str(view.path[-1]))
    if volumes:
        made["volumes"] = volumes
    if tmpfs:
        own["tmpfs"] = tmpfs


def _target(target: str) -> str:
    """What is wrong with a place in the container."""
    if not target.startswith("/") or ".." in target.split("/") or not target.strip("/") or len(target) > _MAX_PATH:
        return f"{target!r} is no absolute path in the container"
    return ""


def _unmountable(mount: View) -> str:
    kind, source = text(mount.data.get("type")), text(mount.data.get("source"))
    if kind not in ("volume", "bind", "tmpfs"):
        return f"{kind!r} is not mounted here: volume, bind and tmpfs are"
    if kind == "bind" and is_windows(source):
        return f"{source} is a path of Windows, and nodes are Linux machines"
    if kind == "bind" and (not source.startswith("/") or ".." in source.split("/") or len(source) > _MAX_PATH):
        return f"{source!r} is no absolute path of a node"
    return _target(text(mount.data.get("target")))


def _tmpfs(mount: View) -> int:
    options = mount.open("tmpfs")
    room = 0
    if "size" in options:
        try:
            room = size(options.use("size"))
        except NotThat as error:
            options.lose("size", str(error))
    options.rest()
    mount.rest()
    return room


def _volume(mount: View, context: Context, volumes: dict[str, object], service: str) -> None:
    source, target = mount.text("source"), mount.text("target")
    one: dict[str, object] = {"target": target}
    mount.use("type")
    if mount.flag("read_only"):
        one["read_only"] = True
    if text(mount.data.get("type")) == "bind":
        one["source"] = source
        key = context.own_name(f"mount/{service}", posixpath.basename(source) or "root", target)
        if is_sensitive(source):
            message = (
                f"{source}: no node gives it away, and its agent does not start, until the node's setting"
                " node.volume_paths names it, with all other paths that it is to give"
            )
            mount.lose("source", message)
        else:
            mount.note("source", f"{source} of the node: it has to be there on each node that may run this")
        context.report.needs(Creation(kind="file", name=source, command="", reason=f"mounted by the service {service}"))
    elif source:
        key = context.resource("volumes", source)
        _declared(context, source, key)
        if key in volumes:
            # The same volume in two places.
            one["name"] = key
            key = context.own_name(f"mount/{service}", f"{key}-{posixpath.basename(target)}", target)
    else:
        key = context.own_name("volumes", f"{service}-{posixpath.basename(target)}", f"{service}:{target}")
        said = f"{target}: a volume without a name is the node's volume {key}, which stays when its service goes"
        if several(context.services[service]):
            mount.lose("target", f"{said}, and replicas on one node share it")
        else:
            mount.note("target", said)
    for part in ("bind", "volume"):
        if isinstance(mount.data.get(part), Map):
            options = mount.open(part)
            if part == "volume" and options.flag("nocopy"):
                one["nocopy"] = True
            options.rest()
    mount.rest()
    while key in volumes:
        key = context.own_name(f"mount/{service}", f"{key}-2"[-40:].lstrip("-0123456789"), f"{target}#")
    volumes[key] = one


def _declared(context: Context, key: str, name: str) -> None:
    """What the top of the file says of a volume."""
    volume = View(context.report, context.project.document.map("volumes").map(key), ("volumes", key))
    context.report.seen(("volumes",))
    volume.use("name")
    message = f"the volume {name} of the node that it is first used on, filled with what the image has there if empty"
    context.report.remark("note", ("volumes", key), context.project.document.map("volumes").at(key), message)
    driver = volume.text("driver")
    if driver not in ("", "local"):
        volume.lose("driver", f"{driver!r}: a volume is a directory of its node, and local to it")
    elif driver:
        volume.note("driver")
    if context.is_external("volumes", key):
        volume.note("external")
        context.report.needs(
            Creation(kind="volume", name=name, command="", reason="external: it has to be on its node")
        )
    elif volume.data.get("external") is not None:
        volume.use("external")
    volume.rest()
