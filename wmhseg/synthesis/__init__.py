"""Synthetic scans with known white matter hyperintensities, drawn from label maps."""
