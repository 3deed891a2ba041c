"""What an operation declares. Surfaces are made from declarations; what is not declared is not on any surface."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from omnitide.fabric.authorize import Permission
from omnitide.operations.runtime import Runtime

In = TypeVar("In", bound=msgspec.Struct)
Out = TypeVar("Out")

Method = Literal["GET", "PUT", "POST", "DELETE"]

NOBODY: Final = "nobody:open"
"""The principal of who calls an open operation and has shown no token."""
OPEN: Final = Permission("none", "nothing")
"""For the few operations that anybody may call: liveness, and what a node needs before it has an identity."""

_NAME = re.compile(r"[a-z]+\.[a-z]+")
_PARAMETER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Context:
    """Who calls, and how (law 11)."""

    principal: str
    correlation: str
    idempotency_key: str = ""
    fingerprint: str = ""
    if_match: int | None = None
    """Refuse unless the object's own last revision is this one; 0: refuse unless there is none."""
    min_revision: int = 0
    dry_run: bool = False
    peer: str = ""
    """Address of whoever calls."""


@dataclass(frozen=True, slots=True)
class Cookie:
    """What a browser is to keep, out of reach of scripts, and to send back to this host alone."""

    name: str
    value: str = field(repr=False)
    """Empty: it is to be forgotten."""
    seconds: int


@dataclass(frozen=True, slots=True)
class Answer(Generic[Out]):
    """What an operation answers, and the revision that it shows or made."""

    value: Out
    revision: int
    etag: int | None = None
    """Own last revision of the one object that this shows."""
    created: bool = False
    replayed: bool = False
    unavailable: bool = False
    """The answer is that something does not work."""
    cookie: Cookie | None = None
    """Over HTTP, beside the value."""


@dataclass(frozen=True, kw_only=True)
class Declaration(Generic[In, Out]):
    """What all operations declare."""

    name: str
    """`agents.scale`: noun and verb."""
    summary: str
    description: str = ""
    method: Method
    path: str
    """Its `{parameters}` are text fields of the input. Other fields are the query of GET and DELETE, else the body."""
    input: type[In]
    output: type[Out]
    """Of one item, for a stream."""
    permission: Permission
    more_with_token: bool = False
    """It is open and says more to whoever shows a token, which then has to be a valid one."""
    rpc: str = ""
    """Its gRPC method, `ScaleAgent`; empty for what belongs to HTTP or is needed before gRPC can be used.

    The input is then called `ScaleAgentRequest`, in Python and on the wire.
    """
    failures: tuple[str, ...] = ()
    """Codes of `model.problem.KINDS` that it can answer with, besides those that every operation can."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} does not name an operation: noun.verb")
        texts = {field.name for field in msgspec.structs.fields(self.input)}
        if not set(self.parameters) <= texts:
            raise ValueError(f"{self.name}: the path {self.path} names fields that the input does not have")
        if self.rpc and self.input.__name__ != f"{self.rpc}Request":
            raise ValueError(f"{self.name}: the input of {self.rpc} must be called {self.rpc}Request")
        if not self.permission.verb or not self.permission.resource:
            raise ValueError(f"{self.name}: no permission is declared")
        if self.more_with_token and not self.open:
            raise ValueError(f"{self.name}: only what is open can say more to who shows a token")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the path's parameters."""
        return tuple(_PARAMETER.findall(self.path))

    @property
    def open(self) -> bool:
        """Anybody may call it."""
        return self.permission == OPEN

    @property
    def has_body(self) -> bool:
        return self.method in ("PUT", "POST")


@dataclass(frozen=True, kw_only=True)
class Operation(Declaration[In, Out]):
    """A question and an answer."""

    handler: Callable[[Runtime, Context, In], Awaitable[Answer[Out]]]
    writes: bool = False
    """It changes the fabric. Others take `min_revision`."""
    idempotent: bool = True
    """Twice the same call leaves the fabric as one does, even without an idempotency key."""
    destructive: bool = False
    """Something that was running or known is gone after it."""
    dry_run: bool = False
    conditional: bool = False
    """It takes `if_match`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "GET" and self.writes:
            raise ValueError(f"{self.name}: GET changes nothing")
        if not self.writes and (self.dry_run or self.conditional or self.destructive):
            raise ValueError(f"{self.name}: only a change can be tried, conditional or destructive")


@dataclass(frozen=True, kw_only=True)
class Stream(Declaration[In, Out]):
    """A question and many answers, until either side has enough."""

    handler: Callable[[Runtime, Context, In], AsyncIterator[Out]]


@dataclass(frozen=True, kw_only=True)
class Bulk(Declaration[In, Out]):
    """Bytes of any number, in or out, by a surface of its own. Going in, the output is what is said of them."""

    incoming: bool = False

    @property
    def has_body(self) -> bool:
        """No fields come in the body: it is the bytes."""
        return False


AnyOperation = Operation[Any, Any]
AnyStream = Stream[Any, Any]
AnyBulk = Bulk[Any, Any]
AnyDeclaration = AnyOperation | AnyStream | AnyBulk
"""`Any`: a table of operations pairs each handler with its own types, which their declarations have checked."""
