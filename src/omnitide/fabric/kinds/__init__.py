"""The kinds of events, by what they are about; `fabric.events` has all of them, and the rule of their evolving.

Imports the model and the state's types.
"""
