"""Adapting a model to a user's scans, and measuring on patients left out whether it helped."""
