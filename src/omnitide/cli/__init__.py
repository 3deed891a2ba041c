"""The command line: Typer commands over the SDK, one folder a noun; `up`, `down` and `join` also run Nexus and node.

`main` is the entry, `commands` the list of all, `session` what they share, `show` how things look, `exits` the codes.
Modules of commands import nothing heavy at the top: `omnitide --version` must be quick.
"""
