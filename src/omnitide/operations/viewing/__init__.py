"""The live view: all objects at a revision, then those that change. `touched` says which, `showing` makes them, `hub`
hands them to all watchers.

Imports fabric, model and the runtime's protocol.
"""
