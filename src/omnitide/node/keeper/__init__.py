"""The keeper: one small process on a node that is parent of every process instance and outlives the node proxy.

Imports the standard library and itself, nothing else: it must stay small (it forks), start fast and never break.
Flow: `loop` wakes `service` (requests) and `supervisor` (children); these drive `starting`, `stopping` and `output`.
"""
