"""The whole client."""

from omnitide.sdk.asynchronous.access import AccessCalls
from omnitide.sdk.asynchronous.agents import AgentCalls
from omnitide.sdk.asynchronous.events import EventCalls
from omnitide.sdk.asynchronous.fabric import FabricCalls
from omnitide.sdk.asynchronous.instances import InstanceCalls
from omnitide.sdk.asynchronous.jobs import JobCalls
from omnitide.sdk.asynchronous.metrics import MetricCalls
from omnitide.sdk.asynchronous.nodes import NodeCalls
from omnitide.sdk.asynchronous.provisions import ProvisionCalls
from omnitide.sdk.asynchronous.volumes import VolumeCalls


class AsyncClient(
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
    """A connection to a fabric. Belongs to one event loop. Close it, or use it as a context manager.

    Every method raises FabricError (see `omnitide.sdk.errors`). A read shows at least what this client has written.
    """
