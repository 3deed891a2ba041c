"""Which fabric, and with what: address, API token, CA. From arguments, the environment, or the profile of `up`."""

import ipaddress
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from omnitide.sdk.errors import FabricError, refused_here

PROFILE_NAME: Final = "profile.json"
MAX_FILE_BYTES: Final = 1 << 20


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fabric is and how one gets in; written by `omnitide up`. The token stays in a file of its own."""

    url: str
    ca_file: str = ""
    token_file: str = ""
    fabric_id: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A fabric to talk to."""

    url: str
    """`https://nexus.example:7400`; http only on loopback."""
    token: str = field(default="", repr=False)
    ca_pem: str = field(default="", repr=False)
    """The fabric's CA. Empty: the certificate must be from a CA that this machine trusts, for that very host name."""

    def __post_init__(self) -> None:
        check_url(self.url)

    @property
    def local(self) -> bool:
        """Nexus is on this machine: no proxy stands in between."""
        return _is_loopback(urlsplit(self.url).hostname or "")

    def context(self) -> ssl.SSLContext | None:
        """For an https address. Raises Invalid for a CA that is none."""
        if urlsplit(self.url).scheme != "https":
            return None
        if not self.ca_pem:
            return ssl.create_default_context()
        from omnitide.sdk.http import client_context

        try:
            return client_context(self.ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise refused_here(f"the fabric's CA cannot be read: {error}", "a PEM file, as <data>/ca.pem") from None


def check_url(url: str) -> None:
    """Raises Invalid for an address that cannot be one of a Nexus."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refused_here(f"{url!r} is no address: {error}", "https://nexus.example:7400") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise refused_here(f"{url!r} is no address of a Nexus", "https://nexus.example:7400")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise refused_here(f"{url} would send the token in the clear", "use https, or a tunnel to loopback")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def profile_path(environ: Mapping[str, str] | None = None) -> Path:
    """Of the profile that is used where nothing else is said: OMNITIDE_DATA's own, else the user's."""
    variables = os.environ if environ is None else environ
    if variables.get("OMNITIDE_DATA"):
        return Path(variables["OMNITIDE_DATA"]).expanduser().absolute() / PROFILE_NAME
    if variables.get("OMNITIDE_CONFIG_HOME"):
        return Path(variables["OMNITIDE_CONFIG_HOME"]).expanduser().absolute() / PROFILE_NAME
    base = variables.get("XDG_CONFIG_HOME") or Path(variables.get("HOME") or Path.home()) / ".config"
    return Path(base) / "omnitide" / PROFILE_NAME


def read_profile(path: Path) -> Profile | None:
    """None if there is none. Raises Invalid for one that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Profile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise refused_here(f"the profile {path} cannot be read: {error}", "remove it, then: omnitide up") from None


def write_profile(path: Path, profile: Profile) -> None:
    """In one step, private to the user."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(msgspec.to_builtins(profile), indent=2) + "\n")
    beside.chmod(0o600)
    beside.replace(path)


def find_target(
    *,
    url: str = "",
    token: str = "",
    token_file: str = "",
    ca_file: str = "",
    environ: Mapping[str, str] | None = None,
    profile: Path | None = None,
) -> Target:
    """What is given, else what OMNITIDE_CLIENT_URL, _TOKEN, _TOKEN_FILE and _CA_FILE say, else the profile.

    With an address from elsewhere, the profile's token is sent only if the profile is of that address. Raises Invalid.
    """
    variables = os.environ if environ is None else environ
    url = url or variables.get("OMNITIDE_CLIENT_URL", "")
    token = token or ("" if token_file else variables.get("OMNITIDE_CLIENT_TOKEN", ""))
    token_file = token_file or variables.get("OMNITIDE_CLIENT_TOKEN_FILE", "")
    ca_file = ca_file or variables.get("OMNITIDE_CLIENT_CA_FILE", "")
    path = profile if profile is not None else profile_path(variables)
    known = None if url and (token or token_file) else read_profile(path)
    if known is not None and url.rstrip("/") in ("", known.url.rstrip("/")):
        url = known.url
        token_file = token_file or ("" if token else known.token_file)
        ca_file = ca_file or known.ca_file
    if not url:
        raise NoFabric(path)
    return Target(url.rstrip("/"), token or _read(token_file, "token"), _read(ca_file, "CA"))


class NoFabric(FabricError):
    """Nothing says which fabric is meant."""

    def __init__(self, path: Path, why: str = "", hint: str = "") -> None:
        """`why` and `hint`: of whoever knows more of this machine."""
        another = "--url https://host:7400 --token-file FILE --ca FILE"
        cause = refused_here(
            why or f"no fabric is known here: no --url, no OMNITIDE_CLIENT_URL, no profile {path}",
            hint or f"omnitide up starts one; another's: {another}",
        )
        super().__init__(cause.problem)
        self.path = path


def _read(file: str, what: str) -> str:
    if not file:
        return ""
    try:
        with Path(file).expanduser().open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        text = data.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        hint = "omnitide up starts a fabric here and writes it; another's: --url, --token-file, --ca, or --data DIR"
        raise refused_here(f"the {what} file {file} cannot be read: {reason}", hint) from None
    if not text or len(data) > MAX_FILE_BYTES:
        raise refused_here(f"the {what} file {file} is {'empty' if not text else 'too large'}")
    return text
