"""Host and port as one text."""


def bracketed(host: str) -> str:
    """The host as it stands before a port: IPv6 addresses in brackets. One that has them keeps them."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def host_port(host: str, port: int) -> str:
    """`127.0.0.1:7400`, `[::1]:7400`."""
    return f"{bracketed(host)}:{port}"
