"""The control plane's shell: engine loop, node sessions, leases, placement. It decides nothing: the core does.

Imports fabric, scheduler, store, security, telemetry, operations and wire. Time and randomness enter through `clock`.
"""
