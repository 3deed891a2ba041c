"""The surfaces: REST and WebSocket on one port, gRPC on another, both made from the registry of operations.

They translate and authenticate, and decide nothing. Imports operations, model and security; starlette, uvicorn, grpc.
"""
