"""What each probe computes on stored snapshots: arrays in, tidy rows out, finished cells kept."""
