"""The wire contract: protobuf stubs made from proto/omnitide/v1 (`make proto`; not edited), and `link`, their carriage.

Imports protobuf and grpc only.
"""
