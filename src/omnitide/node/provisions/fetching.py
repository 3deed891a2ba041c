"""Fetching over http and https with the standard library, in a thread: bounded, resumed, and called off at any time."""

import contextlib
import hashlib
import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from omnitide.drivers.protocol import DriverError
from omnitide.node.provisions.errors import of_disk, permanent, transient

TIMEOUT_S: Final = 20.0
"""For a connection, and for each read of it."""
TRIES: Final = 5
"""Without a byte of progress in between; then it is for a later attempt."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 8.0
CHUNK: Final = 256 << 10
_GONE: Final = frozenset({404, 410})
_REFUSED: Final = frozenset({400, 401, 403, 405, 406, 407, 451})

Told = Callable[[int, int], None]
"""Is told bytes so far, and of how many (0: unknown)."""


class CalledOff(Exception):
    """Nobody wants it any more."""


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """The standard one would follow to ftp, too."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        """`Any`: the shape of the standard library's."""
        if not newurl.startswith(("http://", "https://")):
            raise permanent(f"it redirects to {newurl[:200]}, which is no http or https", "artifact-refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, into: Path, most: int, told: Told, stop: threading.Event) -> str:
    """Fetch a URL into a file; returns its digest. Blocks: for a thread. Raises DriverError, CalledOff."""
    fetching = _Fetching(url, most, told, stop)
    try:
        with open(into, "wb") as file:
            fetching.run(file)
    except OSError as error:
        raise of_disk(error, f"artifact {url}") from None
    return f"sha256:{fetching.hashed.hexdigest()}"


class _Fetching:
    def __init__(self, url: str, most: int, told: Told, stop: threading.Event) -> None:
        self._url = url
        self._most = most
        self._told = told
        self._stop = stop
        self._opener = urllib.request.build_opener(_OnlyHttp())
        self._tag = ""
        self.hashed = hashlib.sha256()
        self._size = 0

    def run(self, file: BinaryIO) -> None:
        tries, wait = 0, FIRST_WAIT_S
        while True:
            before = self._size
            try:
                self._once(file)
                return
            except urllib.error.HTTPError as error:
                error.close()
                problem = self._refused(error.code)
                if problem.permanent:
                    raise problem from None
            except (http.client.HTTPException, TimeoutError, ConnectionError, urllib.error.URLError) as error:
                reason = getattr(error, "reason", None) or error
                problem = transient(
                    f"artifact {self._url}: {str(reason) or type(reason).__name__}", "artifact-unreachable"
                )
            if self._size > before:
                tries, wait = 0, FIRST_WAIT_S
            tries += 1
            if tries >= TRIES:
                raise problem
            if self._stop.wait(wait):
                raise CalledOff
            wait = min(LONGEST_WAIT_S, 2 * wait)

    def _once(self, file: BinaryIO) -> None:
        """One connection, from where the one before broke off."""
        if self._stop.is_set():
            raise CalledOff
        headers = {"User-Agent": "omnitide", "Accept-Encoding": "identity"}
        if self._size and self._tag:
            headers |= {"Range": f"bytes={self._size}-", "If-Range": self._tag}
        request = urllib.request.Request(self._url, headers=headers)  # noqa: S310 the spec allows http and https only
        with contextlib.closing(self._opener.open(request, timeout=TIMEOUT_S)) as answer:
            if answer.status != 206:
                self._restart(file)
            tag = answer.headers.get("ETag", "")
            self._tag = "" if tag.startswith("W/") else tag
            length = answer.headers.get("Content-Length", "")
            total = self._size + int(length) if length.isdecimal() else 0
            if total > self._most:
                raise self._too_large()
            self._read(answer, file, total)
            if total and self._size < total:
                raise ConnectionError(f"broke off after {self._size} of {total} bytes")

    def _restart(self, file: BinaryIO) -> None:
        file.seek(0)
        file.truncate()
        self.hashed, self._size = hashlib.sha256(), 0

    def _read(self, answer: IO[bytes], file: BinaryIO, total: int) -> None:
        said = 0.0
        while chunk := _some(answer):
            if self._stop.is_set():
                raise CalledOff
            self._size += len(chunk)
            if self._size > self._most:
                raise self._too_large()
            self.hashed.update(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise of_disk(error, f"artifact {self._url}") from None
            now = time.monotonic()
            if now - said >= 1.0:
                said = now
                self._told(self._size, total)

    def _too_large(self) -> DriverError:
        message = f"artifact {self._url} is larger than {self._most} bytes (node.max_artifact_bytes)"
        return permanent(message, "artifact-too-large")

    def _refused(self, status: int) -> DriverError:
        message = f"artifact {self._url}: the server answers {status}"
        if status in _GONE:
            return permanent(message, "artifact-missing")
        if status in _REFUSED or 300 <= status < 400:
            return permanent(message, "artifact-refused")
        return transient(message, "artifact-unreachable")


def _some(answer: IO[bytes]) -> bytes:
    """What is there, without waiting for more than that."""
    read1: Callable[[int], bytes] = getattr(answer, "read1", answer.read)
    return read1(CHUNK)
