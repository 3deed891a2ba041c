"""How the making of provisions fails: always as a DriverError, with a cause that says whether to try again."""

import errno
from typing import Final

from omnitide.drivers.protocol import DriverError

SECRET_MISSING: Final = "secret-missing"  # noqa: S105 a cause
VALUES_AWAY: Final = "secrets-unavailable"
WAITS: Final = frozenset({SECRET_MISSING, VALUES_AWAY})
"""Causes that are no failure of the instance: it waits, and its attempts are not counted."""


def permanent(message: str, cause: str) -> DriverError:
    return DriverError(message, cause=cause, permanent=True)


def transient(message: str, cause: str) -> DriverError:
    return DriverError(message, cause=cause, permanent=False)


def of_disk(error: OSError, what: str) -> DriverError:
    """What a disk or its permissions refuse."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return transient(f"{what}: the node's disk is full", "no-disk")
    return transient(f"{what}: {error.strerror or error}", "provision")
