"""Instances: listing, their output, why they are as they are."""
