"""From a mask and its scans to volumes, lesions, places and how sure they are."""
