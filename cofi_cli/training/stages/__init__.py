"""The stages of a run and the loop that they run in."""
