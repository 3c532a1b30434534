"""From scans to a mask."""
