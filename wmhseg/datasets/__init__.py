"""Which scans, masks and results a folder or a table holds."""
