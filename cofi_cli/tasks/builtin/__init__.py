"""The tasks that are known by name."""
