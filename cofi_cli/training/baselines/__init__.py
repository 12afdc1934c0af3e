"""What simpler models reach on the same data, for the report."""
