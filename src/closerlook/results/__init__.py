"""Results: the names of measures, tidy rows, the store of finished cells, and a run read back from disk."""
