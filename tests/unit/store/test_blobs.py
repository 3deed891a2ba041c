"""The blob store: what is put in is found by its digest, whole or not at all, within its bounds."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitide.model.blobs import BlobError, StoredBlob
from omnitide.store.blobs import BlobLimits, DirectoryBlobs

ROOM = BlobLimits(total=1 << 20, blob=1 << 19)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def content(store: DirectoryBlobs, digest: str, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in store.read(digest, offset)])


def store_in(path: Path, limits: BlobLimits = ROOM) -> DirectoryBlobs:
    return DirectoryBlobs(path / "blobs", lambda: limits)


def left_over(path: Path) -> list[str]:
    return os.listdir(path / "blobs" / "incoming")


async def test_what_is_put_is_read_back_from_any_byte_on(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    blob = await store.put(pieces(b"hello ", b"world"))
    assert (blob.digest, blob.size) == (digest_of(b"hello world"), 11)
    assert await content(store, blob.digest) == b"hello world"
    assert await content(store, blob.digest, 6) == b"world"
    assert await content(store, blob.digest, 99) == b""
    assert [one.digest for one in await store.all()] == [blob.digest]


async def test_it_is_found_after_a_restart_and_what_was_half_there_is_not(tmp_path: Path) -> None:
    blob = await store_in(tmp_path).put(pieces(b"x"))
    (tmp_path / "blobs" / "incoming" / "half").write_bytes(b"half")
    again = store_in(tmp_path)
    assert await again.find(blob.digest) == blob
    assert (again.total, left_over(tmp_path)) == (1, [])


async def test_twice_the_same_is_one(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    await store.put(pieces(b"same"))
    await store.put(pieces(b"same"))
    assert (len(await store.all()), store.total) == (1, 4)


async def test_another_digest_than_expected_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(BlobError) as refused:
        await store.put(pieces(b"x"), expected=digest_of(b"y"))
    assert refused.value.code == "mismatch"
    assert (await store.all(), left_over(tmp_path), store.total) == ([], [], 0)


@pytest.mark.parametrize(("limits", "code"), [(BlobLimits(10, 5), "too-large"), (BlobLimits(5, 10), "quota")])
async def test_bounds_are_kept_while_it_comes(tmp_path: Path, limits: BlobLimits, code: str) -> None:
    store = store_in(tmp_path, limits)
    with pytest.raises(BlobError) as refused:
        await store.put(pieces(b"abc", b"def"))
    assert refused.value.code == code
    assert (await store.all(), left_over(tmp_path)) == ([], [])
    assert (await store.put(pieces(b"abcde"))).size == 5


async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path)

    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, BlobError)):
        await store.put(broken())
    task = asyncio.create_task(store.put(never_ending()))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await store.all(), left_over(tmp_path)) == ([], [])


async def never_ending() -> AsyncIterator[bytes]:
    yield b"abc"
    await asyncio.Event().wait()


async def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BlobError) as refused:
        await store.put(pieces(b"x"))
    assert refused.value.code == "disk-full"
    assert (await store.all(), left_over(tmp_path)) == ([], [])


async def test_what_is_removed_is_gone(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    blob = await store.put(pieces(b"x"))
    assert await store.remove(blob.digest)
    assert not await store.remove(blob.digest)
    assert await store.find(blob.digest) is None
    with pytest.raises(BlobError) as refused:
        await content(store, blob.digest)
    assert refused.value.code == "not-found"


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 32, "sha256:" + "G" * 64])
async def test_what_is_no_digest_is_refused(tmp_path: Path, text: str) -> None:
    store = store_in(tmp_path)
    for work in (store.find(text), store.remove(text), content(store, text)):
        with pytest.raises(BlobError) as refused:
            await work
        assert refused.value.code == "malformed"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=8))
def test_the_total_is_the_sum_of_what_is_there(parts: list[bytes]) -> None:
    import tempfile

    async def check(folder: Path) -> None:
        store = store_in(folder)
        put: list[StoredBlob] = [await store.put(pieces(part)) for part in parts]
        for blob in put[::2]:
            await store.remove(blob.digest)
        assert store.total == sum(blob.size for blob in await store.all()) == store_in(folder).total

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder)))
