"""API objects and specs, shared by the API, the SDK and the core. Pure: imports nothing of ours.

`names` is the grammar, `quantity` the units, `spec` what a user writes; `objects`, `inventory`, `happenings` and
`explanations` what a user reads, `problem` how errors look; `normalise` goes between what is written and a struct,
`manifest` reads whole files with the place of each fault.
"""
