"""When to snapshot and when to probe; what they do is a plain function elsewhere."""
