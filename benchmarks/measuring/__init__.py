"""What measuring a result costs."""
