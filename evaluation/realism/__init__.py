"""A detector of the fake: what tells synthetic scans from real ones, and where."""
