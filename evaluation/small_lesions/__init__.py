"""Recall of lesions by their size in synthetic scans with many small ones."""
