"""Operations on the fabric's content-addressed store. Bytes go in and out by surfaces of their own (`Bulk`)."""

from bisect import bisect_right
from typing import Any, Final

from omnitide.fabric.authorize import BLOB_PUT, BLOB_REMOVE, Permission
from omnitide.fabric.state import FabricState
from omnitide.model import blobs as mb
from omnitide.operations.failures import failed
from omnitide.operations.inputs import PageRequest, Request
from omnitide.operations.operation import Answer, AnyDeclaration, Bulk, Context, Operation
from omnitide.operations.runtime import Runtime


class ListBlobsRequest(PageRequest, frozen=True, kw_only=True):
    pass


class RemoveBlobRequest(Request, frozen=True, kw_only=True):
    digest: mb.BlobDigest


class PutBlobRequest(Request, frozen=True, kw_only=True):
    digest: mb.BlobDigest


class GetBlobRequest(Request, frozen=True, kw_only=True):
    digest: mb.BlobDigest


def users_of_blobs(state: FabricState) -> dict[str, list[str]]:
    """Agents and jobs whose specs name a blob, by its digest: every version of an agent that is kept counts."""
    found: dict[str, list[str]] = {}
    for agent in state.agents.values():
        digests = {a.source for version in agent.versions.values() for a in version.spec.artifacts}
        for digest in digests:
            found.setdefault(digest, []).append(f"agent {agent.namespace}/{agent.name}")
    for job in state.jobs.values():
        if not job.finished_ms:
            for digest in {artifact.source for artifact in job.spec.artifacts}:
                found.setdefault(digest, []).append(f"job {job.namespace}/{job.name}")
    return found


def show_blob(blob: mb.StoredBlob, users: dict[str, list[str]]) -> mb.Blob:
    used = tuple(sorted(users.get(blob.digest, ())))
    return mb.Blob(digest=blob.digest, size_bytes=blob.size, put_ms=blob.put_ms, used_by=used)


async def _list(runtime: Runtime, _: Context, asked: ListBlobsRequest) -> Answer[mb.BlobList]:
    state = runtime.committed()
    blobs = list(await runtime.blobs().all())
    # The digest of the last one is the cursor: what is listed is a folder, not the state.
    start = bisect_right([blob.digest for blob in blobs], asked.cursor) if asked.cursor else 0
    page = blobs[start : start + asked.limit]
    more = start + asked.limit < len(blobs)
    users = users_of_blobs(state)
    return Answer(
        mb.BlobList(
            items=tuple(show_blob(blob, users) for blob in page),
            revision=state.revision,
            next_cursor=page[-1].digest if more else "",
            total_bytes=sum(blob.size for blob in blobs),
            limit_bytes=runtime.limits().blob_bytes,
        ),
        state.revision,
    )


async def _remove(runtime: Runtime, context: Context, asked: RemoveBlobRequest) -> Answer[mb.BlobRemoved]:
    state = runtime.committed()
    blob = await runtime.blobs().find(asked.digest)
    if blob is None:
        raise failed("not-found", f"there is no blob {asked.digest}", hint="omnitide blob ls")
    users = users_of_blobs(state).get(asked.digest)
    if users:
        raise failed(
            "conflict",
            f"{', '.join(sorted(users)[:3])} could not be started without {asked.digest[:19]}",
            hint="remove them, or deploy them without it, first",
        )
    if not context.dry_run:
        await runtime.blobs().remove(asked.digest)
    value = mb.BlobRemoved(digest=asked.digest, revision=state.revision, dry_run=context.dry_run)
    return Answer(value, state.revision)


OPERATIONS: Final[tuple[AnyDeclaration, ...]] = (
    Operation[Any, Any](
        name="blobs.list",
        rpc="ListBlobs",
        summary="List the blobs of the fabric's store.",
        method="GET",
        path="/v1/blobs",
        input=ListBlobsRequest,
        output=mb.BlobList,
        permission=Permission("read", "blob"),
        handler=_list,
    ),
    Operation[Any, Any](
        name="blobs.remove",
        rpc="RemoveBlob",
        summary="Remove a blob that nothing uses.",
        method="DELETE",
        path="/v1/blobs/{digest}",
        input=RemoveBlobRequest,
        output=mb.BlobRemoved,
        permission=BLOB_REMOVE,
        failures=("not-found", "conflict"),
        handler=_remove,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
    Bulk[Any, Any](
        name="blobs.put",
        rpc="PutBlob",
        summary="Store bytes. The body is taken as it comes, whatever its size.",
        description="The digest is sha256: and 64 hex digits, and has to be that of the body; `any` takes every body.",
        method="PUT",
        path="/v1/blobs/{digest}",
        input=PutBlobRequest,
        output=mb.Blob,
        permission=BLOB_PUT,
        failures=("malformed", "digest-mismatch", "too-large", "storage-full"),
        incoming=True,
    ),
    Bulk[Any, Any](
        name="blobs.get",
        rpc="GetBlob",
        summary="The bytes of a blob. Takes `Range: bytes=N-`.",
        method="GET",
        path="/v1/blobs/{digest}",
        input=GetBlobRequest,
        output=mb.Blob,
        permission=Permission("read", "blob"),
        failures=("not-found",),
    ),
)
