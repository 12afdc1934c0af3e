"""The teacher, its outputs, and the student that starts from it."""
