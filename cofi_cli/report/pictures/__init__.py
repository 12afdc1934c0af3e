"""Drawings in SVG, without a library."""
