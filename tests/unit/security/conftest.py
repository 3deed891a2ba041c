"""One fabric and its CA for all unit tests of security: made once, because keys cost time and are never changed."""

import datetime as dt

import pytest

from omnitide.security.pki import Authority, create_authority

NOW = dt.datetime(2030, 6, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def now() -> dt.datetime:
    return NOW


@pytest.fixture(scope="session")
def authority() -> Authority:
    return create_authority("fhome", NOW)


@pytest.fixture(scope="session")
def impostor() -> Authority:
    """Another CA that claims the same fabric id."""
    return create_authority("fhome", NOW)


@pytest.fixture(scope="session")
def stranger() -> Authority:
    """The CA of another fabric."""
    return create_authority("fother", NOW)
