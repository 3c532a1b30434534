"""Looks scans over before they are segmented."""
