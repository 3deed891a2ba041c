"""What Nexus asks a node for beside its control stream, each on a stream of its own that the node opens: logs, programs
in instances, their files, their ports.

Imports drivers, wire and telemetry, and of the node what dials.
"""
