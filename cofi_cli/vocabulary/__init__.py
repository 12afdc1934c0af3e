"""Vocabulary trimming: fewer pieces, the same tokenizer for all text that uses the others."""
