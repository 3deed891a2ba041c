"""The registry of operations, from which REST, gRPC, MCP, CLI help and the permission matrix are made.

Imports model, fabric, scheduler (its explanations) and security (the join contract); never nexus, api or a transport.
`runtime` is what a Nexus gives them, `registry` the list, one file a noun for the operations, `views` what they show.
"""
