"""Models: presets, published methods, weight files."""
