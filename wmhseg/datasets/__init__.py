"""Finds what a folder or a table holds: scans, references, results. No image is read here."""
