"""Members of an ensemble: tuning some on real scans, and choosing which go together."""
