"""From raw rows to tokens."""
