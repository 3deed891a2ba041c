# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.client`; change that.
"""The whole client."""

from omnitide.sdk.synchronous.access import AccessCalls
from omnitide.sdk.synchronous.agents import AgentCalls
from omnitide.sdk.synchronous.events import EventCalls
from omnitide.sdk.synchronous.fabric import FabricCalls
from omnitide.sdk.synchronous.instances import InstanceCalls
from omnitide.sdk.synchronous.jobs import JobCalls
from omnitide.sdk.synchronous.metrics import MetricCalls
from omnitide.sdk.synchronous.nodes import NodeCalls
from omnitide.sdk.synchronous.provisions import ProvisionCalls
from omnitide.sdk.synchronous.volumes import VolumeCalls


class Client(
    FabricCalls,
    AccessCalls,
    ProvisionCalls,
    VolumeCalls,
    MetricCalls,
    NodeCalls,
    AgentCalls,
    JobCalls,
    InstanceCalls,
    EventCalls,
):
    """A connection to a fabric. Thread-safe as far as httpx is. Close it, or use it as a context manager.

    Every method raises FabricError (see `omnitide.sdk.errors`). A read shows at least what this client has written.
    """
