"""Networks, each described once for all engines."""
