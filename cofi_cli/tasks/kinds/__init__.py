"""What is particular to a kind of task: how it is encoded and how it is scored."""
