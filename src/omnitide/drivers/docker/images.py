"""Images: found, pulled with the credentials that one launch brings, and checked against the digest that it names."""

import asyncio
import base64
import re
import weakref
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from omnitide.drivers.docker.answers import Image, PullLine
from omnitide.drivers.docker.engine import Engine, lines
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.protocol import DriverError, Launch, Progress
from omnitide.model.container import Container

NOT_FOUND: Final = 404
SAID_EVERY: Final = 0.5
"""Seconds between two words about how far a pull has come."""
PULL_IDLE: Final = 600.0
"""Seconds in which an engine that pulls says nothing at all; it tells of each piece, also of those that it unpacks."""
MAX_LAYERS: Final = 1000
DEFAULT_REGISTRY: Final = "https://index.docker.io/v1/"
_MIB: Final = 1 << 20


class Reference(NamedTuple):
    name: str
    """With its registry."""
    tag: str
    digest: str
    """`sha256:...`, or empty."""

    @property
    def text(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def parse(image: str) -> Reference:
    """As the engine reads it; a tag beside a digest counts for nothing."""
    rest, _, digest = image.partition("@")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        name, tag = rest, "latest"
    return Reference(name, tag, digest)


def registry_of(name: str) -> str:
    first, slash, _ = name.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DEFAULT_REGISTRY


def authorization(credentials: str, registry: str) -> dict[str, str]:
    """The header that gives them for one request; the engine does not keep them."""
    if not credentials:
        return {}
    user, _, password = credentials.partition(":")
    told = {"username": user, "password": password, "serveraddress": registry}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(msgspec.json.encode(told)).decode()}


class Images:
    """Of one engine."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._pulling: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def find(self, engine: Engine, image: str) -> Image | None:
        """The image as it is here, by its digest where the reference names one, or None. Raises DriverError."""
        wanted = parse(image)
        found = await _inspect(engine, wanted.text)
        if found is None and wanted.digest:
            # One that was loaded from a file has no registry's digest: its own id is as good.
            found = await _inspect(engine, wanted.digest)
        return found if found is not None and _matches(found, wanted) else None

    async def to_pull(self, engine: Engine, part: Container) -> bool:
        """Whether `prepare` would pull the image now. Raises DriverError."""
        if part.pull != "missing":
            return part.pull == "always"
        return await self.find(engine, part.image) is None

    async def prepare(
        self, engine: Engine, part: Container, credentials: str, progress: Progress, now_ms: int
    ) -> Image:
        """The image, pulled if its policy says so. Raises DriverError."""
        # Whoever waits here for the same image finds it when his turn comes.
        lock = self._pulling.setdefault(part.image, asyncio.Lock())
        async with lock:
            found = None if part.pull == "always" else await self.find(engine, part.image)
            pulled = False
            if found is None:
                if part.pull == "never":
                    message = f"the image {part.image} is not on this node, and `pull` is never"
                    raise DriverError(message, cause="image-missing", permanent=True)
                await _pull(engine, part.image, credentials, progress)
                pulled = True
                found = await self.find(engine, part.image)
                if found is None:
                    message = f"what the registry gave for {part.image} has another digest"
                    raise DriverError(message, cause="digest-mismatch", permanent=True)
            self._notes.image_used(found.id, now_ms, pulled=pulled)
            return found

    async def resolved(self, engine: Engine, launch: Launch) -> tuple[str, str]:
        """What the engine calls the image, and the directory below which relative mounts of a container of it are.
        Raises DriverError."""
        assert launch.container is not None
        wanted = parse(launch.container.image)
        relative = any(not mount.target.startswith("/") for mount in launch.mounts)
        if not wanted.digest and (launch.working_directory or not relative):
            return wanted.text, launch.working_directory or "/"
        found = await self.find(engine, launch.container.image)
        if found is None:
            message = f"the image {launch.container.image} is not here any more"
            raise DriverError(message, cause="image-missing", permanent=False)
        home = launch.working_directory or (found.config.working_dir if found.config is not None else "") or "/"
        return (found.id if wanted.digest else wanted.text), home


async def _inspect(engine: Engine, reference: str) -> Image | None:
    try:
        return await engine.call("GET", f"images/{quote(reference, safe='/:@')}/json", Image)
    except EngineRefused as error:
        if error.status == NOT_FOUND:
            return None
        raise


def _matches(found: Image, wanted: Reference) -> bool:
    if not wanted.digest:
        return True
    return found.id == wanted.digest or any(
        known.rpartition("@")[2] == wanted.digest for known in found.repo_digests or ()
    )


async def _pull(engine: Engine, image: str, credentials: str, progress: Progress) -> None:
    """Raises DriverError."""
    wanted = parse(image)
    params = {"fromImage": wanted.name, "tag": wanted.digest or wanted.tag}
    told = _Told(image, progress)
    progress(f"pulling {image}")
    try:
        headers = authorization(credentials, registry_of(wanted.name))
        async with engine.stream("POST", "images/create", params=params, headers=headers, idle=PULL_IDLE) as answer:
            async for line in lines(answer):
                said = msgspec.json.decode(line, type=PullLine)
                if said.error:
                    raise pull_error(image, said.error)
                told.add(said)
    except EngineRefused as error:
        raise pull_error(image, str(error)) from None
    except msgspec.MsgspecError as error:
        message = f"pulling {image}: the engine's answer is not understood: {error}"
        raise DriverError(message, cause="driver-unavailable", permanent=False) from None


class _Told:
    """Adds up the layers, and tells of them now and then."""

    def __init__(self, image: str, progress: Progress) -> None:
        self._image = image
        self._progress = progress
        self._layers: dict[str, tuple[int, int]] = {}
        self._at = 0.0

    def add(self, said: PullLine) -> None:
        if said.status != "Downloading" or said.detail is None or not said.detail.total:
            return
        if said.id in self._layers or len(self._layers) < MAX_LAYERS:
            self._layers[said.id] = (said.detail.current, said.detail.total)
        now = asyncio.get_running_loop().time()
        if now - self._at >= SAID_EVERY:
            self._at = now
            have, of = (sum(column) / _MIB for column in zip(*self._layers.values(), strict=True))
            self._progress(f"pulling {self._image}, {have:.1f} of {of:.1f} MiB")


_CAUSES: Final = (
    (r"no space left on device", "no-disk", False),
    (
        r"unauthorized|authentication required|access denied|access to the resource is denied|no basic auth|forbidden",
        "image-denied",
        True,
    ),
    (
        r"digest mismatch|verification failed|unexpected (commit )?digest|filesystem layer verification",
        "digest-mismatch",
        True,
    ),
    (
        r"manifest unknown|not found|does not exist|no such image|name unknown|repository name not known",
        "image-missing",
        True,
    ),
    (r"invalid reference format|invalid tag format|no matching manifest", "image-missing", True),
)


def pull_error(image: str, said: str) -> DriverError:
    """What a pull failed for; a registry that does not answer is what is left."""
    message = f"pulling {image}: {said}"
    for words, cause, permanent in _CAUSES:
        if re.search(words, said, re.IGNORECASE):
            if cause == "image-missing" and parse(image).digest and "manifest unknown" in said:
                message = f"pulling {image}: the registry has no such digest of it ({said})"
                cause = "digest-mismatch"
            return DriverError(message, cause=cause, permanent=permanent)
    return DriverError(message, cause="registry-unreachable", permanent=False)
