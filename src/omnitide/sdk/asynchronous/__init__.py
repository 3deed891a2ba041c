"""The client, one file a noun, with `await`.

Imports the rest of the SDK and model. `synchronous`, beside it, is made from it by scripts/unasync.py.
"""
