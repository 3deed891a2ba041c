"""Nodes: joining, listing, draining."""
