"""From an HTTP request to an operation's input: path, query, headers and body, each bounded and each fault named."""

import asyncio
import functools
import hashlib
import json
import re
from collections import Counter
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect as mi
from starlette.requests import ClientDisconnect, Request

from omnitide.api.segments import names_in_path
from omnitide.model.faults import Fault, Path, bare, quantity_kind
from omnitide.model.normalise import Invalid, info_of, read
from omnitide.operations.failures import Failed, failed, invalid
from omnitide.operations.operation import AnyDeclaration, Operation

BODY_TIME_S: Final = 30.0
"""How long a client may take for its body."""
DISCARDED_BYTES: Final = 4 << 20
"""Of a body that is too large, this much more is taken and thrown away before the connection is given up."""
MAX_QUERY_CHARS: Final = 8192
MAX_QUERY_FIELDS: Final = 100
MAX_KEY_CHARS: Final = 200

_INTEGER: Final = re.compile(r"-?\d{1,8000}")
MAX_DIGITS: Final = 18
_LARGEST: Final = 2**63 - 2
_ETAG: Final = re.compile(r'"?(\d{1,18})"?')
_POSITION: Final = re.compile(r"\(byte (\d+)\)")
_JSON_TYPES: Final = frozenset({"application/json", ""})


class Conditions(NamedTuple):
    """What the request says of itself besides the operation's input."""

    if_match: int | None = None
    idempotency_key: str = ""
    dry_run: bool = False
    min_revision: int = 0


class Question(NamedTuple):
    value: msgspec.Struct
    conditions: Conditions
    fingerprint: str


async def read_request(request: Request, operation: AnyDeclaration, limit: int) -> Question:
    """Raises Failed."""
    query = _query(request.url.query)
    common = _take_common(query, operation)
    raw = await _body(request, limit) if operation.has_body else b""
    given: dict[str, object] = {**names_in_path(request)}
    if operation.has_body:
        if query:
            raise invalid([Fault((name,), "is no parameter of the address here") for name in query])
        given.update(_json_body(request, raw, operation))
    else:
        given.update(_texts(query, operation.input))
    try:
        value = read(given, cast("type[msgspec.Struct]", operation.input))
    except Invalid as error:
        raise invalid(error.faults) from error
    return Question(
        value,
        Conditions(
            if_match=_precondition(request),
            idempotency_key=_idempotency_key(request),
            dry_run=bool(common.get("dry_run", False)),
            min_revision=int(cast("int", common.get("min_revision", 0))),
        ),
        _fingerprint(request, raw),
    )


def _fingerprint(request: Request, raw: bytes) -> str:
    """Tells a repetition from another request: method, address and body, byte for byte."""
    digest = hashlib.sha256(f"{request.method}\0{request.url.path}\0{request.url.query}\0".encode())
    digest.update(raw)
    return f"sha256:{digest.hexdigest()}"


# -- query -----------------------------------------------------------------------------------------------------------


def _query(text: str) -> dict[str, list[str]]:
    if len(text) > MAX_QUERY_CHARS:
        raise failed("uri-too-long", f"the query has {len(text)} characters, {MAX_QUERY_CHARS} are read")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as error:
        raise failed("malformed", f"the query cannot be read: {error}") from error
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    return query


def _take_common(query: dict[str, list[str]], operation: AnyDeclaration) -> dict[str, object]:
    """Take the parameters that do not depend on the operation out of a query."""
    types: dict[str, mi.Type] = {}
    if isinstance(operation, Operation) and operation.writes:
        types["dry_run"] = mi.BoolType()
    elif isinstance(operation, Operation):
        types["min_revision"] = mi.IntType(ge=0)
    taken: dict[str, object] = {}
    faults: list[Fault] = []
    for name, type_ in types.items():
        if name in query:
            value = _from_texts(query.pop(name), type_)
            if not (isinstance(value, bool) if name == "dry_run" else isinstance(value, int) and value >= 0):
                expected = "true or false" if name == "dry_run" else "a revision"
                faults.append(Fault((name,), f"expected {expected}, got {value!r}"))
            taken[name] = value
    if faults:
        raise invalid(faults)
    return taken


def _texts(query: dict[str, list[str]], type_: type) -> dict[str, object]:
    """A query's texts as values of the fields' types; what does not fit stays text, and is refused as such."""
    fields = _field_types(type_)
    given: dict[str, object] = {}
    for name, values in query.items():
        given[name] = _from_texts(values, fields[name]) if name in fields else values[0]
    return given


@functools.lru_cache(maxsize=256)
def _field_types(type_: type) -> dict[str, mi.Type]:
    info = info_of(type_)
    return {field.encode_name: field.type for field in info.fields} if isinstance(info, mi.StructType) else {}


def _from_texts(values: list[str], type_: mi.Type) -> object:
    plain = bare(type_)
    if isinstance(plain, mi.VarTupleType):
        return [part for value in values for part in value.split(",") if part]
    if len(values) > 1:
        return values  # refused as a list where one value is expected
    text = values[0]
    if isinstance(plain, mi.BoolType):
        return {"true": True, "1": True, "": True, "false": False, "0": False}.get(text.lower(), text)
    if isinstance(plain, mi.IntType) and not quantity_kind(type_) and _INTEGER.fullmatch(text):
        return int(text) if len(text) <= MAX_DIGITS else _outside(text, plain)
    return text


def _outside(text: str, type_: mi.IntType) -> int:
    """A number just outside of what the field takes, in place of one that is longer than any number here: refused for
    the same reason. A field without a bound gets the largest."""
    if text.startswith("-"):
        return (type_.ge if type_.ge is not None else -_LARGEST) - 1
    return (type_.le if type_.le is not None else _LARGEST) + 1


# -- body ------------------------------------------------------------------------------------------------------------


async def _body(request: Request, limit: int) -> bytes:
    """The body, counted while it comes, so that a large one costs no more than the limit."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIME_S):
            async for part in request.stream():
                size += len(part)
                if size > limit + DISCARDED_BYTES:
                    break
                if size > limit:
                    # Most clients read an answer only when they have sent everything: one that is not far over the
                    # limit is let finish, and hears why it is refused instead of a broken connection.
                    parts.clear()
                else:
                    parts.append(part)
    except TimeoutError as error:
        raise failed("timeout", f"the body did not come within {BODY_TIME_S:g} s") from error
    except ClientDisconnect as error:
        raise failed("malformed", "the connection broke before the body was there") from error
    if size > limit:
        raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> Failed:
    return failed("too-large", f"the body is larger than {limit} bytes, the most that is read")


def _json_body(request: Request, raw: bytes, operation: AnyDeclaration) -> dict[str, object]:
    if not raw.strip():
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON_TYPES and not media_type.endswith("+json"):
        raise failed("unsupported-media-type", f"a body of type {media_type!r} cannot be read", hint="application/json")
    data = parse_json(raw)
    if not isinstance(data, dict):
        raise invalid([Fault((), "the body must be an object with the operation's fields")])
    body = cast("dict[str, object]", data)
    known = set(operation.parameters)
    faults: list[Fault] = [Fault((name,), "is given by the path, not the body") for name in body if name in known]
    if faults:
        raise invalid(faults)
    return body


def parse_json(raw: bytes) -> Any:
    """Any JSON value. Raises Failed with line and column where it is none."""
    try:
        data = msgspec.json.decode(raw)
        # Of a key that an object has twice the last value is taken: written anew it has fewer colons. That costs as
        # little as to read it; which key it is, is looked for only then.
        if raw.count(b":") > msgspec.json.encode(data).count(b":"):
            _refuse_twice_given(raw)
    except msgspec.DecodeError as error:
        found = _POSITION.search(str(error))
        # Without a position it is that the end came too early.
        at = int(found[1]) if found is not None else len(raw)
        line = raw.count(b"\n", 0, at) + 1
        column = at - (raw.rfind(b"\n", 0, at) + 1) + 1
        reason = str(error).removeprefix("JSON is malformed: ").partition(" (byte ")[0]
        raise failed("malformed", f"the body is no JSON: {reason} at line {line}, column {column}") from error
    except UnicodeDecodeError as error:
        raise failed("malformed", f"the body is not UTF-8: byte {error.start} of a text") from error
    except RecursionError as error:
        raise failed("malformed", "the body is nested too deeply") from error
    return data


def _refuse_twice_given(raw: bytes) -> None:
    """Whoever wrote a key twice may have meant either. Raises Failed."""
    # Values are not made, as of numbers without end: only the keys are looked at.
    json.loads(raw, object_pairs_hook=_object, parse_int=len, parse_float=len, strict=False)


def _object(pairs: list[tuple[str, object]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) < len(pairs):
        counted = Counter(key for key, _ in pairs)
        key = next(key for key, count in counted.items() if count > 1)
        raise failed("malformed", f"the body gives {key[:MAX_KEY_CHARS]!r} twice in one object", hint="leave one out")


# -- headers ---------------------------------------------------------------------------------------------------------


def _precondition(request: Request) -> int | None:
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if match is not None and none_match is not None:
        raise _header("If-Match", "cannot be used together with If-None-Match")
    if none_match is not None:
        if request.method == "GET":
            return None  # answers are never cached: what they show changes without the object's own revision
        if none_match.strip() != "*":
            raise _header("If-None-Match", "takes * here: refuse unless there is no such object")
        return 0
    if match is None or request.method == "GET":
        return None
    found = _ETAG.fullmatch(match.strip())
    if found is None or int(found[1]) == 0:
        raise _header("If-Match", 'takes one ETag, the object\'s own last revision: "41"')
    return int(found[1])


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "").strip()
    if not key:
        return ""
    if len(key) > MAX_KEY_CHARS or not key.isascii() or not key.isprintable():
        raise _header("Idempotency-Key", f"takes up to {MAX_KEY_CHARS} printable ASCII characters")
    return key


def _header(name: str, message: str) -> Failed:
    path: Path = (f"header {name}",)
    return invalid([Fault(path, message)], code="malformed")
