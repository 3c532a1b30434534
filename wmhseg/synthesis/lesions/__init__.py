"""What is added to the lesions of a synthetic scan, and how readers mark them."""
