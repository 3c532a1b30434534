"""What adapting a model to one source of scans does: there, on patients left out, and elsewhere."""
