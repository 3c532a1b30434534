"""Files and images in and out."""
