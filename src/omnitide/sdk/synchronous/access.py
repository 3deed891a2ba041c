# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.access`; change that.
"""Namespaces and tokens."""

from collections.abc import Iterator, Mapping
from typing import Literal

import omnitide.sdk.calls as calls
from omnitide.model import inventory as inv
from omnitide.sdk.defaults import PAGE
from omnitide.sdk.synchronous.connection import Connection


class AccessCalls(Connection):
    """Who and where: namespaces, tokens."""

    def list_namespaces(self, *, cursor: str = "", limit: int = PAGE) -> inv.NamespaceList:
        return self._do(calls.list_namespaces(cursor, limit))

    def namespaces(self) -> Iterator[inv.Namespace]:
        """All of them, page by page; so do the other methods without a verb."""
        return self._all(lambda cursor: self.list_namespaces(cursor=cursor))

    def create_namespace(self, name: str, *, dry_run: bool = False) -> inv.NamespaceChanged:
        return self._do(calls.create_namespace(name, dry_run))

    def delete_namespace(self, name: str, *, dry_run: bool = False) -> inv.NamespaceChanged:
        return self._do(calls.delete_namespace(name, dry_run))

    def list_tokens(self, *, purpose: str = "", cursor: str = "", limit: int = PAGE) -> inv.TokenList:
        return self._do(calls.list_tokens(cursor, limit, purpose))

    def tokens(self, *, purpose: str = "") -> Iterator[inv.Token]:
        return self._all(lambda cursor: self.list_tokens(purpose=purpose, cursor=cursor))

    def create_token(
        self,
        purpose: Literal["join", "api", "metrics", "login"] = "join",
        *,
        ttl: str | int | None = None,
        uses: int = 1,
        note: str = "",
        labels: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> inv.TokenCreated:
        """`ttl`: "1h" or milliseconds. The token's text is in this answer and nowhere else."""
        return self._do(calls.create_token(purpose, ttl, uses, note, labels, dry_run))

    def revoke_token(self, identifier: str, *, force: bool = False, dry_run: bool = False) -> inv.TokenRevoked:
        """`force`: even if it is the last API token that is valid."""
        return self._do(calls.revoke_token(identifier, force, dry_run))
