"""Models that the package does not carry: their released files, and how they get here."""
