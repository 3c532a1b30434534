"""What is known of a drawn scan besides its lesions."""
