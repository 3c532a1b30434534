"""Training: from a plan and data to a model folder."""
