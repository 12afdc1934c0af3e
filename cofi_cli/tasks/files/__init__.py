"""The user's own files: tables, columns, labels, tagged words, questions."""
