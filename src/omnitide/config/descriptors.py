"""How many descriptors this process may have open."""


def raise_open_files() -> tuple[int, int]:
    """Up to what the machine allows; Debian's usual limit of 1024 is one connection each of a small fabric.

    Returns the limits as they were, which are those to give to programs of others: some cannot deal with more.
    """
    try:
        import resource
    except ImportError:  # no such limit on this system
        return 0, 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS refuses "unlimited"
        pass
    return soft, hard
