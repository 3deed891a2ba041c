"""Whole fabrics in one process under a virtual clock: production engine, sessions, leases, placer, node proxies.

What is simulated: time, the network, disks, the supervisor and its processes. Everything else is the code that ships. A
run is a function of its seed: `python -m simulation --seed 7` (from `tests/`) replays one and prints what happened.
"""
