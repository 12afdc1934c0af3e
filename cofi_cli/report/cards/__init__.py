"""The README.md of a model folder and of an export folder."""
