"""Compose files, read by the Compose Specification's own semantics, and the agents that are made of them.

Imports the model and libraries; reads files, and asks nothing of a network or a fabric.
"""
