"""Why a module can never run here."""


class Unusable(Exception):
    """Its text says so to a person."""
