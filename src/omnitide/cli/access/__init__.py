"""Tokens, namespaces, configuration, schemas, completion, version."""
