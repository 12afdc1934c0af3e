"""One model in a process of its own: opened, fed, timed and scored."""
