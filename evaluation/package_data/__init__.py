"""What made the data that travel with the package."""
