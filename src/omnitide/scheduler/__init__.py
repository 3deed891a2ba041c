"""Placement: a pure function from a columnar view of the nodes and the instances that wait to a plan, and why not.

Imports the fabric, the model and numpy. `table.NodeTable` and `waiting.Waiting` follow the state, `place.place` makes
the plan (for a command, which `decide` checks again), `explain.explain` says why something waits and what would help.
"""
