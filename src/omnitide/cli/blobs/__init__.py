"""The fabric's own content-addressed store."""
