"""Secrets, and where values come from on the command line."""
