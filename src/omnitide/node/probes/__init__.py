"""Whether instances are well: their probes, as the spec states them, asked from this node.

`judge` makes a verdict of answers (pure), `asking` gets answers, `prober` does so for each running instance in time.
Imports the drivers' protocol, the model and the node's stimuli.
"""
