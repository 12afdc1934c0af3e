"""Metrics in numpy."""
