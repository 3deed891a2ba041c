"""API objects and specs, shared by the API, the SDK and the core. Pure: imports nothing of ours.

`names` is the grammar, `quantity` the units, `spec` what a user writes, `objects` what a user reads, `manifest` how a
written document becomes a spec or a list of faults with their place.
"""
