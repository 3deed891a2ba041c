# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.provisions`; change that.
"""Secrets, configs and blobs."""

import base64
from collections.abc import Iterable, Iterator

import omnitide.sdk.calls as calls
from omnitide.model import blobs as mb
from omnitide.model import secrets as ms
from omnitide.sdk.defaults import ANSWER_S, CONNECT_S, PAGE
from omnitide.sdk.errors import from_answer
from omnitide.sdk.exchange import Exchange, Retries, decode
from omnitide.sdk.http import httpx
from omnitide.sdk.synchronous.connection import Connection


class ProvisionCalls(Connection):
    """What instances are given besides their spec."""

    def list_secrets(self, *, namespace: str = "", cursor: str = "", limit: int = PAGE) -> ms.SecretList:
        return self._do(calls.list_secrets(cursor, limit, namespace))

    def secrets(self, *, namespace: str = "") -> Iterator[ms.Secret]:
        return self._all(lambda cursor: self.list_secrets(namespace=namespace, cursor=cursor))

    def get_secret(self, namespace: str, name: str) -> ms.Secret:
        """Without its value, which no answer holds."""
        return self._do(calls.get_secret(namespace, name))

    def set_secret(self, namespace: str, name: str, value: bytes, *, dry_run: bool = False) -> ms.SecretChanged:
        data = base64.b64encode(value).decode()
        return self._do(calls.set_secret(namespace, name, data, dry_run))

    def remove_secret(
        self, namespace: str, name: str, *, force: bool = False, dry_run: bool = False
    ) -> ms.SecretChanged:
        """`force`: even if an agent or job could not be started again without it."""
        return self._do(calls.remove_secret(namespace, name, force, dry_run))

    def list_configs(self, *, namespace: str = "", cursor: str = "", limit: int = PAGE) -> ms.ConfigList:
        return self._do(calls.list_configs(cursor, limit, namespace))

    def configs(self, *, namespace: str = "") -> Iterator[ms.Config]:
        return self._all(lambda cursor: self.list_configs(namespace=namespace, cursor=cursor))

    def get_config(self, namespace: str, name: str) -> ms.Config:
        """With its value, in base64."""
        return self._do(calls.get_config(namespace, name))

    def set_config(self, namespace: str, name: str, value: bytes, *, dry_run: bool = False) -> ms.ConfigChanged:
        data = base64.b64encode(value).decode()
        return self._do(calls.set_config(namespace, name, data, dry_run))

    def remove_config(
        self, namespace: str, name: str, *, force: bool = False, dry_run: bool = False
    ) -> ms.ConfigChanged:
        """`force`: even if an agent or job could not be started again without it."""
        return self._do(calls.remove_config(namespace, name, force, dry_run))

    def list_blobs(self, *, cursor: str = "", limit: int = PAGE) -> mb.BlobList:
        return self._do(calls.list_blobs(cursor, limit))

    def blobs(self) -> Iterator[mb.Blob]:
        return self._all(lambda cursor: self.list_blobs(cursor=cursor))

    def remove_blob(self, digest: str, *, dry_run: bool = False) -> mb.BlobRemoved:
        return self._do(calls.remove_blob(digest, dry_run))

    def put_blob(self, pieces: Iterable[bytes], *, digest: str = "any", size: int = 0) -> mb.Blob:
        """Store bytes, in pieces as they come. `digest`: refuse others. `size`: of all of them, where that is known.

        Not repeated by itself: what was read of `pieces` is gone.
        """
        call = calls.put_blob(digest)
        headers = {"accept": "application/json", "content-type": "application/octet-stream"}
        if size:
            headers["content-length"] = str(size)
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=None)
        exchange = Exchange(call, self._memory, Retries(attempts=1), self.target.url, self._rng)
        try:
            answer = self._http.request("PUT", call.path, content=pieces, headers=headers, timeout=timeout)
        except httpx.TransportError as error:
            exchange.broke(str(error) or type(error).__name__)
            raise
        if answer.status_code != 201:
            raise from_answer(answer.status_code, answer.content)
        return decode(answer.content, mb.Blob)

    def get_blob(self, digest: str, *, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from one on. Breaks with Unreachable if the connection does: go on where it broke."""
        call = calls.get_blob(digest)
        headers = {"range": f"bytes={offset}-"} if offset else {}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        exchange = Exchange(call, self._memory, Retries(attempts=1), self.target.url, self._rng)
        try:
            with self._http.stream("GET", call.path, headers=headers, timeout=timeout) as answer:
                if answer.status_code not in (200, 206):
                    raise from_answer(answer.status_code, answer.read())
                yield from answer.iter_raw()
        except httpx.TransportError as error:
            exchange.broke(str(error) or type(error).__name__)
