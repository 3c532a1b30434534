"""Masks against references."""
