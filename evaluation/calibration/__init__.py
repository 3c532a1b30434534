"""Whether a probability of 0.7 means 70 %, and whether a temperature makes it so."""
