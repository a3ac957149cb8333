"""closerlook."""
