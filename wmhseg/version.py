"""The version, for everybody who reports it."""

__version__ = "0.2.0"
