"""Benchmark models side by side: resolve, refuse, measure, conclude."""
