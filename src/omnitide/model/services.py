"""The service registry: what listens where, for whoever wants to talk to an agent."""

from omnitide.model.objects import Millis, Object


class ServiceEndpoint(Object, frozen=True, kw_only=True):
    """A port of one replica."""

    port_name: str
    """As in the spec."""
    protocol: str = "tcp"
    instance: str
    """Its id."""
    name: str
    """`hello-2.1`."""
    node: str = ""
    address: str = ""
    """Where its node says that it can be reached; empty: it does not say."""
    port: int
    ready: bool
    """It runs, its node is heard from, and it is healthy: where its spec asks for readiness by its probe's word, else
    unless another probe says otherwise. Where its runtime does not answer its node, a probe over the network does."""
    unknown_since_ms: Millis = 0
    """All but `ready` is what was known then: its node, or its runtime there, has not been heard from since."""


class Service(Object, frozen=True, kw_only=True):
    """An agent with ports, and all that serve them. Whoever wants to talk to it picks a ready one."""

    namespace: str
    name: str
    """Of the agent."""
    endpoints: tuple[ServiceEndpoint, ...] = ()
    revision: int
    """Of the fabric, at which this is so. To hear of changes, watch events of the agent's instances after it."""


class ServiceList(Object, frozen=True, kw_only=True):
    items: tuple[Service, ...]
    revision: int
    next_cursor: str = ""
