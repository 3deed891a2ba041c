"""Who is who: the fabric's CA and certificates, the keyring, join and API tokens, and a node's way into the fabric.

Imports cryptography, msgspec and the standard library; may import fabric and model; never httpx, grpc or a shell.
"""
