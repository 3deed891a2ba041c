"""Who a process runs as: from `user`, `1000`, `user:group` or `1000:1000` to numbers."""

import grp
import os
import pwd
from collections.abc import Mapping

from omnitide.drivers.protocol import DriverError


def _refuse(message: str) -> DriverError:
    return DriverError(message, cause="user", permanent=True)


def _account(user: str) -> tuple[int, pwd.struct_passwd | None]:
    try:
        if user.isascii() and user.isdigit():
            uid = int(user)
            try:
                return uid, pwd.getpwuid(uid)
            except (KeyError, OverflowError):
                return uid, None
        account = pwd.getpwnam(user)
    except (KeyError, ValueError):
        raise _refuse(f"there is no user {user!r} on this node") from None
    return account.pw_uid, account


def _group(group: str) -> int:
    if group.isascii() and group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise _refuse(f"there is no group {group!r} on this node") from None


def home(identity: Mapping[str, object] | None) -> str:
    """The home of who a process runs as, by their account; "/" for one without, as container engines say."""
    uid = os.geteuid() if identity is None else identity["uid"]
    try:
        return pwd.getpwuid(uid).pw_dir if isinstance(uid, int) else "/"
    except (KeyError, OverflowError):
        return "/"


def resolve(text: str) -> dict[str, object] | None:
    """The keeper's `identity`, or None for the keeper's own user. May wait for a directory service. Raises DriverError.

    A user without account needs a group beside it: no group is guessed.
    """
    if not text:
        return None
    user, colon, group = text.partition(":")
    uid, account = _account(user)
    if colon:
        gid = _group(group)
    elif account is not None:
        gid = account.pw_gid
    else:
        raise _refuse(f"user {user} has no account on this node: name its group too, as in {user}:{user}")
    groups = os.getgrouplist(account.pw_name, gid) if account is not None else [gid]
    return {"uid": uid, "gid": gid, "groups": sorted(set(groups))}
