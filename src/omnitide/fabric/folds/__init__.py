"""What each event makes of the state, by concept. Frozen for every released (kind, version); see `fabric.events`."""
