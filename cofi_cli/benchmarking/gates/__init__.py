"""Thresholds, and the comparison with an earlier result."""
