import os
import stat
from pathlib import Path

import pytest

from omnitide.security.private_files import (
    MAX_PRIVATE_BYTES,
    InsecureFile,
    ensure_private_directory,
    read_private,
    remove_private,
    write_private,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX notion")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "secret"
    write_private(path, b"old")
    return path


def test_file_and_directory_are_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "a" / "secret", b"x")
        os.umask(0o777)
        write_private(tmp_path / "b" / "secret", b"x")
    finally:
        os.umask(before)
    for directory in ("a", "b"):
        assert mode(tmp_path / directory) == 0o700
        assert mode(tmp_path / directory / "secret") == 0o600


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o601])
def test_a_file_open_to_others_is_refused_with_the_command_that_helps(secret: Path, bits: int) -> None:
    secret.chmod(bits)
    with pytest.raises(InsecureFile, match=f"chmod 600 {secret}"):
        read_private(secret)


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o770, 0o711])
def test_a_directory_open_to_others_is_refused_for_reading_and_writing(secret: Path, bits: int) -> None:
    secret.parent.chmod(bits)
    with pytest.raises(InsecureFile, match="chmod 700"):
        read_private(secret)
    with pytest.raises(InsecureFile, match="chmod 700"):
        write_private(secret, b"new")
    with pytest.raises(InsecureFile, match="chmod 700"):
        ensure_private_directory(secret.parent)


@pytest.mark.root
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root can give files away")
def test_a_passable_directory_lets_others_through_and_nothing_else(secret: Path) -> None:
    secret.parent.chmod(0o711)
    ensure_private_directory(secret.parent, passable=True)
    write_private(secret, b"new", passable=True)
    assert mode(secret) == 0o600
    with pytest.raises(InsecureFile):
        write_private(secret, b"newer")
    for bits in (0o040, 0o020, 0o004, 0o002):
        secret.parent.chmod(0o711 | bits)
        with pytest.raises(InsecureFile, match="chmod go-rw"):
            ensure_private_directory(secret.parent, passable=True)


def test_a_file_of_another_user_is_refused(secret: Path) -> None:
    os.chown(secret, 12345, -1)
    with pytest.raises(InsecureFile, match="belongs to user 12345"):
        read_private(secret)


def test_writing_replaces_whole_and_leaves_nothing_beside(secret: Path) -> None:
    write_private(secret, b"new")
    assert read_private(secret) == b"new"
    assert [p.name for p in secret.parent.iterdir()] == ["secret"]


def test_a_failed_write_leaves_the_old_content(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_private(secret, b"new")
    monkeypatch.undo()
    assert read_private(secret) == b"old"
    assert [p.name for p in secret.parent.iterdir()] == ["secret"]


def test_an_exclusive_write_never_replaces(secret: Path) -> None:
    with pytest.raises(FileExistsError):
        write_private(secret, b"new", exclusive=True)
    assert read_private(secret) == b"old"


def test_what_is_absurdly_large_is_not_read(secret: Path) -> None:
    write_private(secret, b"x" * (MAX_PRIVATE_BYTES + 1))
    with pytest.raises(InsecureFile, match="larger"):
        read_private(secret)


def test_removing_is_idempotent(secret: Path) -> None:
    remove_private(secret)
    remove_private(secret)
    assert not secret.exists()
