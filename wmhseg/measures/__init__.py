"""Figures about a mask."""
