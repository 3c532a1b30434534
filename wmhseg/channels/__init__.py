"""From scans on one grid to what networks take: each channel, and where it lies in the brain."""
