"""The BIDS App: a BIDS data set in, BIDS derivatives out, by the machinery of ``batch``."""
