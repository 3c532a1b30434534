"""Many subjects."""
