"""Which threshold, smallest lesion and peak a model should have, and what each choice costs."""
