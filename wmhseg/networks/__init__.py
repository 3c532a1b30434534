"""The published networks, each described once for all engines."""
