"""What this node and its instances use, sampled each second and sent in batches on a stream of its own.

Imports drivers, telemetry.series, wire and the node's own data; no NumPy. Nothing here changes what the node runs.
"""
