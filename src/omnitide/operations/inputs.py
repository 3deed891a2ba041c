"""Fields that the inputs of many operations share."""

from typing import Annotated

import msgspec
from msgspec import Meta

from omnitide.model.names import NAME_PATTERN
from omnitide.operations.paging import CursorText, PageSize


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The input of an operation: unknown fields are refused."""


class PageRequest(Request, frozen=True, kw_only=True):
    """A page of a list."""

    cursor: CursorText = ""
    limit: PageSize = 100


NamespaceName = Annotated[str, Meta(pattern=NAME_PATTERN, description="Name of the namespace.")]
Reference = Annotated[str, Meta(min_length=1, max_length=80, description="Name or id.")]
NamespaceFilter = Annotated[str, Meta(max_length=40, description="Only of this namespace; empty: of all.")]
NodeRows = Annotated[
    int, Meta(ge=0, le=1000, description="Nodes that are explained one by one, those nearest to fitting first.")
]
