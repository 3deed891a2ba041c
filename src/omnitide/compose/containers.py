"""What only containers have: image, entrypoint, capabilities, kernel settings and the like."""

import posixpath
import re
import shlex
from typing import Final

from omnitide.compose.context import Context, Made
from omnitide.compose.keys import fate_of
from omnitide.compose.quantities import MOST, NotThat, size, text, whole
from omnitide.compose.report import Creation
from omnitide.compose.running import escaped
from omnitide.compose.tree import Map, Seq, dotted, refuse
from omnitide.compose.view import View
from omnitide.model.container import IMAGE_PATTERN
from omnitide.model.host_paths import HARMLESS

_DEFAULT: Final = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
"""What the Docker Engine gives a container by itself."""
_CAPABILITY: Final = re.compile(r"[A-Z][A-Z_]{1,40}")
MAX_CAPABILITIES: Final = 64
MAX_GROUPS: Final = 64
MAX_SERVERS: Final = 16
MAX_SYSCTLS: Final = 64
MAX_ULIMITS: Final = 32
_IMAGE: Final = re.compile(IMAGE_PATTERN)
_PULL: Final = {"always": "always", "never": "never", "missing": "missing", "if_not_present": "missing"}


def container(view: View, context: Context, made: Made, own: Made) -> None:
    """`own` becomes the manifest's `container`."""
    _image(view, context, own)
    _command(view, made, own)
    capabilities = _capabilities(view)
    own["capabilities"] = capabilities[:MAX_CAPABILITIES]
    if len(capabilities) > MAX_CAPABILITIES:
        left = ", ".join(capabilities[MAX_CAPABILITIES:])
        view.lose("cap_add", f"a container takes {MAX_CAPABILITIES} of them at most here: not {left}")
    for key, field in (("user", "user"), ("working_dir", "working_directory")):
        if key in view:
            made[field] = view.text(key)
    for key in ("read_only", "stdin_open", "tty"):
        if view.flag(key):
            own[key] = True
    # The engine starts a container without a small first process, and some images insist on being the first themselves.
    own["init"] = view.flag("init")
    if "hostname" in view:
        hostname = view.text("hostname")
        if len(hostname) <= 64:
            own["hostname"] = hostname
        else:
            view.lose("hostname", "is longer than a host name can be")
    shm = view.size("shm_size")
    if shm:
        own["shm_size"] = shm
    groups = view.some("group_add", MAX_GROUPS, "a container takes")
    if groups:
        own["groups"] = groups
    addresses = view.some("dns", MAX_SERVERS, "a container takes")
    if addresses:
        own["dns"] = addresses
    _hosts(view, own)
    _kernel(view, own)
    _devices(view, own)
    _security(view)


def image_of(context: Context, name: str) -> str:
    """What the image of a service that is built is called, as Compose calls it."""
    return f"{context.project.name}-{name}".lower()


def _image(view: View, context: Context, own: Made) -> None:
    name = str(view.path[-1])
    image = view.text("image")
    built = view.data.get("build")
    own["image"] = image or image_of(context, name)
    if _IMAGE.fullmatch(str(own["image"])) is None or str(own["image"]).endswith((":", "@", "/")):
        unset = ", ".join(sorted(context.project.unset))
        hint = f"not set: {unset}; set them, or give --env-file" if unset else ""
        raise refuse(view.place("image"), dotted((*view.path, "image")), f"{image!r} names no image", hint)
    policy = view.text("pull_policy")
    if policy in _PULL:
        own["pull"] = _PULL[policy]
    elif policy:
        view.lose("pull_policy", f"{policy!r}: an image is pulled always, where it is missing, or never")
    if built is None:
        return
    command = _build_command(view, str(own["image"]))
    context.report.needs(
        Creation(kind="image", name=str(own["image"]), command=command, reason=f"of the service {name}")
    )
    if image:
        view.note("build", f"images are not built here: {image} is pulled; build it and push it if it is not there")
    else:
        view.lose(
            "build", f"images are not built here: build {own['image']} and push it, or load it on the nodes: {command}"
        )
        # A name that Compose made up is nobody's in a public registry, or somebody else's.
        own.setdefault("pull", "never")


def _build_command(view: View, image: str) -> str:
    build = view.data.map("build")
    words = ["docker", "build", "-t", image]
    if build.get("dockerfile_inline"):
        words += ["-f", "-"]  # its text stands in the Compose file
    dockerfile, context = text(build.get("dockerfile")), text(build.get("context")) or "."
    if dockerfile:
        words += ["-f", dockerfile if dockerfile.startswith("/") or "://" in context else f"{context}/{dockerfile}"]
    if build.get("target"):
        words += ["--target", text(build["target"])]
    for key, value in build.map("args").items():
        words += ["--build-arg", key if value is None else f"{key}={text(value)}"]
    words.append(context)
    return shlex.join(words)


def _command(view: View, made: Made, own: Made) -> None:
    words = view.command("command")
    if words and not words[0].strip():
        view.lose("command", "begins with an empty word, which names no program")
    elif words:
        made["command"] = [escaped(word) for word in words]
    if isinstance(view.data.get("entrypoint"), Seq):
        entry = view.command("entrypoint")
        own["entrypoint"] = entry if entry and any(entry) else [""]
    view.use("entrypoint")


def _capabilities(view: View) -> list[str]:
    """The engine's own set, and what the file adds to it and takes away."""

    def named(key: str) -> list[str]:
        found: list[str] = []
        for written, place, path in view.entries(key):
            name = written.upper().removeprefix("CAP_")
            if _CAPABILITY.fullmatch(name) is None:
                view.report.remark("loss", path, place, f"{written!r} is no capability")
            elif name not in found:
                found.append(name)
        return found

    added, dropped = named("cap_add"), named("cap_drop")
    if "ALL" in added:
        if dropped:
            view.lose("cap_drop", "with cap_add ALL: all are given")
        return ["ALL"]
    if "ALL" in dropped:
        return added
    if not dropped:
        return ["default", *added]
    rest = [name for name in _DEFAULT if name not in dropped]
    return rest + [name for name in added if name not in rest and name not in dropped]


def _hosts(view: View, own: Made) -> None:
    hosts: dict[str, str] = {}
    for written, place, path in view.entries("extra_hosts"):
        name, _, address = written.partition("=")
        if not name or not address:
            view.report.remark("loss", path, place, f"{written!r} is no name and address")
        elif hosts.setdefault(name, address) != address or len(hosts) > 64:
            view.report.remark("loss", path, place, f"{name} has one address here, and there are 64 names at most")
            if len(hosts) > 64:
                del hosts[name]
    if hosts:
        own["extra_hosts"] = hosts


def _kernel(view: View, own: Made) -> None:
    sysctls = view.use("sysctls")
    if isinstance(sysctls, Map) and sysctls:
        own["sysctls"] = {key: text(value) for key, value in list(sysctls.items())[:MAX_SYSCTLS]}
        for key in list(sysctls)[MAX_SYSCTLS:]:
            message = f"a container takes {MAX_SYSCTLS} of them at most here"
            view.report.remark("loss", (*view.path, "sysctls", key), sysctls.at(key), message)
    limits: dict[str, int | Made] = {}
    ulimits = view.open("ulimits")
    for name, value in ulimits.data.items():
        try:
            if isinstance(value, Map):
                pair = View(view.report, value, (*ulimits.path, name))
                soft, hard = _most(pair.use("soft")), _most(pair.use("hard"))
                if hard != -1 and not -1 < soft <= hard:
                    raise NotThat(f"the soft limit, {soft}, is above the hard one, {hard}")
                limits[name] = soft if soft == hard else {"soft": soft, "hard": hard}
                pair.rest()
            else:
                limits[name] = _most(ulimits.use(name))
        except NotThat as error:
            ulimits.lose(name, str(error))
    kept = {name: value for name, value in limits.items() if re.fullmatch(r"[a-z]{2,20}", name)}
    for name in limits.keys() - kept.keys():
        ulimits.lose(name, "is no limit that the engine knows")
    for name in list(kept)[MAX_ULIMITS:]:
        ulimits.lose(name, f"a container takes {MAX_ULIMITS} of them at most here")
        del kept[name]
    if kept:
        own["ulimits"] = kept


def _most(value: object) -> int:
    """A limit; -1: as much as there is. Raises NotThat."""
    made = whole(value)
    if not -1 <= made <= MOST:
        raise NotThat(f"{made} is no limit")
    return made


def _devices(view: View, own: Made) -> None:
    found: list[str] = []
    for device in view.each("devices"):
        source, target, permissions = device.text("source"), device.text("target"), device.text("permissions")
        if not source.startswith("/"):
            device.report.used(device.path)
            device.report.remark("loss", device.path, device.place(), f"{source!r} is no device file of the node")
            continue
        if permissions not in ("", "rwm"):
            device.lose("permissions")
        if posixpath.normpath(source) not in HARMLESS:
            message = f"{source}: no node gives it to containers until the node's setting node.devices names it"
            device.lose("source", message)
        found.append(f"{source}:{target}" if target and target != source else source)
        device.rest()
    if found:
        own["devices"] = found[:32]
    if len(found) > 32:
        view.lose("devices", "a container takes 32 devices here: the first of them")


def _security(view: View) -> None:
    """What is so here anyway needs a note at most."""
    for key in ("privileged", "oom_kill_disable", "use_api_socket"):
        if view.is_off(key):
            view.note(key, "is so here anyway")
    for written, place, path in view.entries("security_opt"):
        if re.fullmatch(r"no-new-privileges([:=]true)?", written):
            view.report.remark("note", path, place, "is so here anyway")
        else:
            view.report.remark("loss", path, place, fate_of((*view.path, "security_opt")).text)


def tmpfs_size(options: str) -> tuple[int, list[str]]:
    """Of `size=64m,mode=1777`: the size, and the options that are left. Raises NotThat."""
    made = 0
    left: list[str] = []
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            made = size(value)
        elif option not in ("rw", "noexec", "nosuid", "nodev"):
            left.append(option)
    return made, left
