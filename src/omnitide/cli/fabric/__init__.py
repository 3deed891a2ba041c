"""The fabric on this machine: its processes, starting and stopping them, how it is."""
