# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.agents`; change that.
"""Agents."""

from collections.abc import Iterator

import omnitide.sdk.calls as calls
from omnitide.model import explanations as ex
from omnitide.model import objects as ob
from omnitide.model.spec import AgentSpec
from omnitide.sdk.defaults import DEFAULT, PAGE
from omnitide.sdk.synchronous.connection import Connection


class AgentCalls(Connection):
    """Agents and their versions."""

    def list_agents(self, *, namespace: str = "", cursor: str = "", limit: int = PAGE) -> ob.AgentList:
        return self._do(calls.list_agents(cursor, limit, namespace))

    def agents(self, *, namespace: str = "") -> Iterator[ob.AgentSummary]:
        return self._all(lambda cursor: self.list_agents(namespace=namespace, cursor=cursor))

    def get_agent(
        self,
        name: str,
        *,
        namespace: str = DEFAULT,
        min_revision: int | None = None,
        within_s: float | None = None,
    ) -> ob.Agent:
        """`min_revision`: as of this revision or later; Nexus waits some seconds for it, then raises `behind`.
        `within_s`: the answer is waited for no longer than this, then it raises `late`."""
        return self._do(calls.get_agent(namespace, name, min_revision, within_s))

    def deploy_agent(
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
        return self._do(calls.deploy_agent(namespace, name, spec, replicas, take_over_replicas, if_match, dry_run))

    def scale_agent(
        self,
        name: str,
        replicas: int,
        *,
        namespace: str = DEFAULT,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        return self._do(calls.scale_agent(namespace, name, replicas, if_match, dry_run))

    def restart_agent(
        self,
        name: str,
        *,
        namespace: str = DEFAULT,
        max_unavailable: int = 0,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        """Replace its instances as a rollout would, `max_unavailable` at a time; 0: as many as its update allows."""
        return self._do(calls.restart_agent(namespace, name, max_unavailable, if_match, dry_run))

    def roll_back_agent(
        self,
        name: str,
        version: int = 0,
        *,
        namespace: str = DEFAULT,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        """A new version with the spec of an earlier one; 0: the newest that is known to work and differs."""
        return self._do(calls.roll_back_agent(namespace, name, version, if_match, dry_run))

    def pause_rollout(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return self._do(calls.change_agent(namespace, name, "rollout/pause", if_match, dry_run))

    def resume_rollout(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return self._do(calls.change_agent(namespace, name, "rollout/resume", if_match, dry_run))

    def get_rollout(
        self,
        name: str,
        *,
        namespace: str = DEFAULT,
        min_revision: int | None = None,
        within_s: float | None = None,
    ) -> ob.RolloutStatus:
        """How far the newest version has come, with one verdict."""
        return self._do(calls.get_rollout(namespace, name, min_revision, within_s))

    def stop_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return self._do(calls.change_agent(namespace, name, "stop", if_match, dry_run))

    def start_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return self._do(calls.change_agent(namespace, name, "start", if_match, dry_run))

    def delete_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return self._do(calls.delete_agent(namespace, name, if_match, dry_run))

    def list_agent_versions(self, name: str, *, namespace: str = DEFAULT) -> ob.AgentVersionList:
        return self._do(calls.list_agent_versions(namespace, name))

    def explain_agent(
        self, name: str, *, namespace: str = DEFAULT, nodes: int = 0, within_s: float | None = None
    ) -> ex.AgentExplanation:
        """Why it is as it is. `nodes`: explain so many nodes one by one. `within_s` as of `get_agent`."""
        return self._do(calls.explain_agent(namespace, name, nodes, within_s))
