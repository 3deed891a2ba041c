"""Agents."""

from collections.abc import AsyncIterator

import omnitide.sdk.calls as calls
from omnitide.model import explanations as ex
from omnitide.model import objects as ob
from omnitide.model.spec import AgentSpec
from omnitide.sdk.asynchronous.connection import AsyncConnection
from omnitide.sdk.defaults import DEFAULT, PAGE


class AgentCalls(AsyncConnection):
    """Agents and their versions."""

    async def list_agents(self, *, namespace: str = "", cursor: str = "", limit: int = PAGE) -> ob.AgentList:
        return await self._do(calls.list_agents(cursor, limit, namespace))

    def agents(self, *, namespace: str = "") -> AsyncIterator[ob.AgentSummary]:
        return self._all(lambda cursor: self.list_agents(namespace=namespace, cursor=cursor))

    async def get_agent(
        self,
        name: str,
        *,
        namespace: str = DEFAULT,
        min_revision: int | None = None,
        within_s: float | None = None,
    ) -> ob.Agent:
        """`min_revision`: as of this revision or later; Nexus waits some seconds for it, then raises `behind`.
        `within_s`: the answer is waited for no longer than this, then it raises `late`."""
        return await self._do(calls.get_agent(namespace, name, min_revision, within_s))

    async def deploy_agent(
        self,
        name: str,
        spec: AgentSpec,
        *,
        namespace: str = DEFAULT,
        replicas: int | None = None,
        take_over_replicas: bool = False,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        """Make an agent, or give it a new version. `replicas` None: an agent that is there keeps its number.

        `if_match`: refuse unless the agent's own last revision is this; 0: unless there is none.
        """
        return await self._do(
            calls.deploy_agent(namespace, name, spec, replicas, take_over_replicas, if_match, dry_run)
        )

    async def scale_agent(
        self,
        name: str,
        replicas: int,
        *,
        namespace: str = DEFAULT,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        return await self._do(calls.scale_agent(namespace, name, replicas, if_match, dry_run))

    async def restart_agent(
        self,
        name: str,
        *,
        namespace: str = DEFAULT,
        max_unavailable: int = 0,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        """Replace its instances as a rollout would, `max_unavailable` at a time; 0: as many as its update allows."""
        return await self._do(calls.restart_agent(namespace, name, max_unavailable, if_match, dry_run))

    async def roll_back_agent(
        self,
        name: str,
        version: int = 0,
        *,
        namespace: str = DEFAULT,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        """A new version with the spec of an earlier one; 0: the newest that is known to work and differs."""
        return await self._do(calls.roll_back_agent(namespace, name, version, if_match, dry_run))

    async def pause_rollout(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return await self._do(calls.change_agent(namespace, name, "rollout/pause", if_match, dry_run))

    async def resume_rollout(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return await self._do(calls.change_agent(namespace, name, "rollout/resume", if_match, dry_run))

    async def get_rollout(
        self,
        name: str,
        *,
        namespace: str = DEFAULT,
        min_revision: int | None = None,
        within_s: float | None = None,
    ) -> ob.RolloutStatus:
        """How far the newest version has come, with one verdict."""
        return await self._do(calls.get_rollout(namespace, name, min_revision, within_s))

    async def stop_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return await self._do(calls.change_agent(namespace, name, "stop", if_match, dry_run))

    async def start_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return await self._do(calls.change_agent(namespace, name, "start", if_match, dry_run))

    async def delete_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return await self._do(calls.delete_agent(namespace, name, if_match, dry_run))

    async def list_agent_versions(self, name: str, *, namespace: str = DEFAULT) -> ob.AgentVersionList:
        return await self._do(calls.list_agent_versions(namespace, name))

    async def explain_agent(
        self, name: str, *, namespace: str = DEFAULT, nodes: int = 0, within_s: float | None = None
    ) -> ex.AgentExplanation:
        """Why it is as it is. `nodes`: explain so many nodes one by one. `within_s` as of `get_agent`."""
        return await self._do(calls.explain_agent(namespace, name, nodes, within_s))
