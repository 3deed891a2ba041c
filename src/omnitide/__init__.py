"""Omnitide: a compute fabric. Nexus decides, node proxies carry out."""

__version__ = "0.1.0"
