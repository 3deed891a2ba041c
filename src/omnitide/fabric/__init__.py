"""The pure core: fabric state, commands, events, `decide`, `evolve`, `authorize`. No clock, no randomness, no I/O.

Imports model only. `decide.decide` is the one entrance for changes, `evolve.apply` the one way that state changes.
"""
