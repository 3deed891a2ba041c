# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.__init__`; change that.
"""The client, one file a noun, without `await`.

Imports the rest of the SDK and model.
"""
