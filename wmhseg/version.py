"""The version, for everybody who reports it."""

__version__ = "0.1.0"
