"""What an instance finds when it starts: artifacts, volumes, secrets and configuration. Made before its driver is
asked, and held in no file of the node in the clear. Imports drivers.protocol, model, security and telemetry, and of the
node its records and wire; no driver.
"""
