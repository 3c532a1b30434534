"""Many subjects, one after the other or several at once."""
