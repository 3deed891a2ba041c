"""`omnitide top`: the fabric live in a terminal.

`words`, `lines`, `scene`, `tables`, `listing`, `overview`, `details`, `actions` and `outlook` are pure and know no
terminal; the rest draws with Textual, which only `top` itself imports. Imports model, the SDK and the command line.
"""
