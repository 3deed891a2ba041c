"""What nodes and instances use, over time."""
