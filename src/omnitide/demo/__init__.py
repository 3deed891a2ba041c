"""A fabric that plays (`omnitide demo`): a real Nexus, and machines that exist in memory alone and live there.

May import api, config, drivers, model, node, sdk, security, telemetry, wire; only the command line imports it.
"""
