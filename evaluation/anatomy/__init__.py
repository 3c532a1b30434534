"""How well the structures of real scans are named."""
