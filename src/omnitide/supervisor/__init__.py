"""The supervisor of one data directory: starts Nexus and node proxy, and starts them again when they die.

Standard library only, and little of it: it stays in memory for as long as the fabric runs. Imports nothing of ours.
"""
