"""Making models: nothing outside this package imports it."""
