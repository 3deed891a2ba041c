"""The node proxy: makes what runs on this machine equal to what Nexus wants, alone while cut off, and says what is.

`reconciler` is the state machine (no I/O), `proxy` the shell around it, `session` talks with Nexus, `outbox` remembers.
Imports model, wire, drivers, security, telemetry, config; nothing that Nexus, API or CLI alone need.
"""
