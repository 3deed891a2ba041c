"""Jobs: running one and following it, listing, cancelling."""
