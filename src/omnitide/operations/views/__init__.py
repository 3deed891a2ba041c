"""Fabric state as the objects that users read, one module a noun. What a silent node runs is `unknown` (law 13).

Imports fabric and model, and the runtime's protocol for what is not state.
"""
