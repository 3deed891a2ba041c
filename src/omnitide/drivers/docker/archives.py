"""Files of a container as tar streams, both ways, by the engine's archive API: it resolves links within the container's
own files, so that no path leads out of them."""

import io
import posixpath
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from omnitide.drivers import unsized
from omnitide.drivers.docker.answers import Container
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.docker.ownership import Owner, owned, resolve
from omnitide.drivers.protocol import DriverError

PIECE: Final = 64 << 10
NOT_FOUND: Final = 404
MAX_FILE: Final = 1 << 20
"""Of a container's /etc/passwd."""


def absolute(container: Container, path: str) -> str:
    """Relative paths are below the container's working directory."""
    return posixpath.normpath(posixpath.join("/", container.config.working_dir, path))


async def archive(engine: Engine, container: Container, path: str) -> AsyncGenerator[bytes]:
    """Raises DriverError."""
    try:
        params = {"path": absolute(container, path)}
        if unsized.is_unsized(params["path"]):
            raise unsized.refusal(path)
        async with engine.stream("GET", f"containers/{container.id}/archive", params=params) as answer:
            async for piece in answer.iter_chunked(PIECE):
                yield piece
    except EngineRefused as error:
        raise _refused(error, path) from None


async def extract(engine: Engine, container: Container, path: str, data: AsyncIterator[bytes]) -> None:
    """Raises DriverError."""
    owner = None if container.config.user in ("", "0", "root") else await owner_in(engine, container)
    params = {"path": absolute(container, path), "noOverwriteDirNonDir": "1"}
    wrong: list[DriverError] = []

    async def sent(stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        try:
            async for piece in stream:
                yield piece
        except DriverError as error:
            # The client only says that it could not send it all.
            wrong.append(error)
            raise

    try:
        async with engine.stream(
            "PUT",
            f"containers/{container.id}/archive",
            params=params,
            headers={"Content-Type": "application/x-tar"},
            data=sent(owned(data, owner) if owner is not None else data),
        ) as answer:
            await answer.read()
    except EngineRefused as error:
        raise wrong[0] if wrong else _refused(error, path) from None
    except DriverError:
        if wrong:
            raise wrong[0] from None
        raise


def _refused(error: EngineRefused, path: str) -> DriverError:
    said = str(error)
    if error.status == NOT_FOUND:
        return DriverError(f"{path}: {said}", cause="no-such-file", permanent=True)
    if "read-only" in said:
        return DriverError(f"{path}: {said}", cause="read-only", permanent=True)
    if "no space left" in said:
        return DriverError(f"{path}: {said}", cause="no-disk", permanent=False)
    return DriverError(f"{path}: {said}", cause="archive", permanent=True)


async def owner_in(engine: Engine, container: Container) -> Owner | None:
    """The container's user and group, by its own tables; None for a name that is not in them. Raises DriverError."""
    user, _, group = container.config.user.partition(":")
    passwd = await _small_file(engine, container, "/etc/passwd")
    groups = await _small_file(engine, container, "/etc/group")
    return resolve(user, group, passwd, groups)


async def _small_file(engine: Engine, container: Container, path: str) -> str:
    """Empty if there is none, or one that is too long to be what it should be."""
    packed = bytearray()
    try:
        async for piece in archive(engine, container, path):
            packed += piece
            if len(packed) > MAX_FILE:
                return ""
        with tarfile.open(fileobj=io.BytesIO(bytes(packed))) as opened:
            for member in opened:
                file = opened.extractfile(member)
                if file is not None:
                    return file.read().decode(errors="replace")
    except (DriverError, tarfile.TarError):
        pass
    return ""
