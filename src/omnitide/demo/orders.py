"""What the command tells the process of the machines, and what that answers, as lines of JSON."""

import msgspec


class Orders(msgspec.Struct, frozen=True):
    url: str
    token: str
    ca_pem: str
    data: str
    """Folder of the demo."""
    nexus_pid: int
    remove: bool
    """The folder was made for this demo alone."""
    nodes: int
    agents: int
    instances: int
    seed: int
    speed: float

    def __repr__(self) -> str:
        """Without the token."""
        return f"Orders({self.nodes} nodes, {self.agents} agents, seed {self.seed})"


class Progress(msgspec.Struct, frozen=True):
    joined: int = 0
    live: int = 0
    deployed: int = 0
    ready: bool = False
    error: str = ""
