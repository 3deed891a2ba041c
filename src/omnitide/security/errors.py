"""The base of every error that this package raises."""


class SecurityError(Exception):
    """Something about keys, certificates, tokens or their files is not as it must be. The message is for a person and
    never contains a secret."""
