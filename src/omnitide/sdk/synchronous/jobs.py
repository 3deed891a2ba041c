# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.jobs`; change that.
"""Jobs."""

from collections.abc import Iterator

import omnitide.sdk.calls as calls
from omnitide.model import objects as ob
from omnitide.model.spec import JobSpec
from omnitide.sdk.defaults import DEFAULT, PAGE
from omnitide.sdk.synchronous.connection import Connection


class JobCalls(Connection):
    """Jobs from their beginning to their end."""

    def list_jobs(self, *, namespace: str = "", status: str = "", cursor: str = "", limit: int = PAGE) -> ob.JobList:
        return self._do(calls.list_jobs(cursor, limit, namespace, status))

    def jobs(self, *, namespace: str = "", status: str = "") -> Iterator[ob.JobSummary]:
        return self._all(lambda cursor: self.list_jobs(namespace=namespace, status=status, cursor=cursor))

    def get_job(
        self,
        name: str,
        *,
        namespace: str = DEFAULT,
        min_revision: int | None = None,
        within_s: float | None = None,
    ) -> ob.Job:
        """`min_revision` and `within_s` as of `get_agent`."""
        return self._do(calls.get_job(namespace, name, min_revision, within_s))

    def run_job(
        self, spec: JobSpec, *, name: str | None = None, namespace: str = DEFAULT, dry_run: bool = False
    ) -> ob.JobChanged:
        """Begin a job; without a name it gets one."""
        return self._do(calls.run_job(namespace, spec, name, dry_run))

    def cancel_job(self, name: str, *, namespace: str = DEFAULT, dry_run: bool = False) -> ob.JobChanged:
        return self._do(calls.cancel_job(namespace, name, dry_run))

    def delete_job(self, name: str, *, namespace: str = DEFAULT, dry_run: bool = False) -> ob.JobChanged:
        return self._do(calls.delete_job(namespace, name, dry_run))
