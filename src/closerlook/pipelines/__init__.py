"""Build objects from a configuration, run them, return a result."""
