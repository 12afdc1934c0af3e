"""The graph of a model: its forms, how they are traced, and which one an export takes."""
