"""Jobs."""

from collections.abc import AsyncIterator

import omnitide.sdk.calls as calls
from omnitide.model import objects as ob
from omnitide.model.spec import JobSpec
from omnitide.sdk.asynchronous.connection import AsyncConnection
from omnitide.sdk.defaults import DEFAULT, PAGE


class JobCalls(AsyncConnection):
    """Jobs from their beginning to their end."""

    async def list_jobs(
        self, *, namespace: str = "", status: str = "", cursor: str = "", limit: int = PAGE
    ) -> ob.JobList:
        return await self._do(calls.list_jobs(cursor, limit, namespace, status))

    def jobs(self, *, namespace: str = "", status: str = "") -> AsyncIterator[ob.JobSummary]:
        return self._all(lambda cursor: self.list_jobs(namespace=namespace, status=status, cursor=cursor))

    async def get_job(
        self,
        name: str,
        *,
        namespace: str = DEFAULT,
        min_revision: int | None = None,
        within_s: float | None = None,
    ) -> ob.Job:
        """`min_revision` and `within_s` as of `get_agent`."""
        return await self._do(calls.get_job(namespace, name, min_revision, within_s))

    async def run_job(
        self, spec: JobSpec, *, name: str | None = None, namespace: str = DEFAULT, dry_run: bool = False
    ) -> ob.JobChanged:
        """Begin a job; without a name it gets one."""
        return await self._do(calls.run_job(namespace, spec, name, dry_run))

    async def cancel_job(self, name: str, *, namespace: str = DEFAULT, dry_run: bool = False) -> ob.JobChanged:
        return await self._do(calls.cancel_job(namespace, name, dry_run))

    async def delete_job(self, name: str, *, namespace: str = DEFAULT, dry_run: bool = False) -> ob.JobChanged:
        return await self._do(calls.delete_job(namespace, name, dry_run))
