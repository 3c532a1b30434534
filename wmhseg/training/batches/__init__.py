"""Batches to train on: from real scans and synthetic ones, in a fixed order."""
