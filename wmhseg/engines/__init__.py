"""What computes the networks: engines behind one small interface."""
