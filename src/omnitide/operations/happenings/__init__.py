"""The event log as CloudEvents: `translate` makes them, `search` reads old ones, `hub` hands new ones to all watchers.

Imports fabric, model and the runtime's protocol.
"""
