"""From scans as the scanner gave them to the input of a network, and back."""
