"""Samples over time: what a series is, the rings that hold the last minutes of it, roll-ups, and how both are asked.

Imports nothing of ours and does no I/O. `definition` and `exposition` need no NumPy: the node proxy loads them.
"""
