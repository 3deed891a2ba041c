"""The panel's files: built from web/ into `static/` beside this, served from memory with headers that browsers obey.

Names below `assets/` hold a digest of what they name, so that browsers keep them for good; everything else is asked for
anew each time, and answered by 304 where it is the same. Any other path that a browser opens as a page is the panel's
own to make sense of: it gets the index. That brings the style of a first look with it, which its policy names by
digest: nothing else that stands in a page is obeyed.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from omnitide.api.packing import takes

STATIC: Final = Path(__file__).with_name("static")
INDEX: Final = "index.html"
NOT_BUILT: Final = "not-built.txt"
"""Why the last build came to nothing; written by scripts/web."""
FOR_GOOD: Final = "public, max-age=31536000, immutable"
ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
"""The better first."""
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
STYLE: Final = re.compile(rb"<style>(.*?)</style>", re.DOTALL)
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True, slots=True)
class _Form:
    """A file in one encoding."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class _File:
    type: str
    kept: str
    policy: str
    forms: dict[str, _Form]
    """By content encoding; empty for none."""


class Panel:
    """What is built, as of the last look at the index: a panel that is built anew is served without a restart."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}
        self._as_of: tuple[int, int] | None = None

    def respond(self, request: Request) -> Response | None:
        """The answer to what asks for the panel; None for anything else."""
        path = request.url.path
        if request.method not in ("GET", "HEAD") or path.split("/")[1] in ("v1", "health"):
            return None
        self._look()
        file = self._files.get(path.removeprefix("/"))
        if file is None:
            if not _opened_as_page(request):
                return None
            file = self._files.get(INDEX)
        return self._not_built() if file is None else _answer(request, file)

    def _look(self) -> None:
        """Read everything anew if the index, which a build writes last, is another."""
        try:
            seen = (self._folder / INDEX).stat()
        except OSError:
            self._files, self._as_of = {}, None
            return
        as_of = (seen.st_mtime_ns, seen.st_ino)
        if as_of != self._as_of:
            self._files = dict(_read(self._folder))
            self._as_of = as_of

    def _not_built(self) -> Response:
        try:
            why = (self._folder / NOT_BUILT).read_text(errors="replace").strip()[:2000]
        except OSError:
            why = ""
        lines = ("This Nexus runs, and its panel was not built.", why, "To build it: make web, in its checkout.", "")
        told = "\n".join(line for line in lines if line)
        return Response(
            told, 503, {**HEADERS, "Content-Security-Policy": _policy(), "Cache-Control": "no-store"}, TYPES[".txt"]
        )


def _read(folder: Path) -> list[tuple[str, _File]]:
    found: list[tuple[str, _File]] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in TYPES or name == NOT_BUILT or not path.is_file():
            continue
        forms = {"": _form(path.read_bytes())}
        for encoding, suffix in ENCODINGS:
            packed = path.with_name(path.name + suffix)
            if packed.is_file():
                forms[encoding] = _form(packed.read_bytes())
        kept = FOR_GOOD if name.startswith("assets/") else "no-cache"
        policy = _policy(forms[""].body if path.suffix == ".html" else b"")
        found.append((name, _File(TYPES[path.suffix], kept, policy, forms)))
    return found


def _policy(page: bytes = b"") -> str:
    """What a browser may load: the panel's own files, and the styles that stand in its page."""
    digests = (base64.b64encode(hashlib.sha256(style).digest()).decode() for style in STYLE.findall(page))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            " ".join(("style-src 'self'", *(f"'sha256-{digest}'" for digest in digests))),
            "font-src 'self'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "worker-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _form(body: bytes) -> _Form:
    return _Form(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _opened_as_page(request: Request) -> bool:
    """As browsers ask when a person opens an address; programs that ask for data do not. At the root there is nothing
    else: there whoever takes anything, as curl and checkers of links do, gets the panel too."""
    accepted = request.headers.get("accept", "").strip() or "*/*"  # an empty one asks for nothing in particular
    return "text/html" in accepted or (request.url.path == "/" and "*/*" in accepted)


def _answer(request: Request, file: _File) -> Response:
    encoding = _encoding(request.headers.get("accept-encoding", ""), file)
    form = file.forms[encoding]
    headers = {
        **HEADERS,
        "Content-Security-Policy": file.policy,
        "Cache-Control": file.kept,
        "ETag": form.etag,
        "Vary": "Accept-Encoding",
    }
    if encoding:
        headers["Content-Encoding"] = encoding
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if form.etag in known:
        return Response(None, 304, headers)
    return Response(form.body, 200, headers, file.type)


def _encoding(accepted: str, file: _File) -> str:
    return next((name for name, _ in ENCODINGS if name in file.forms and takes(accepted, name)), "")
