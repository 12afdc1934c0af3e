"""Texts without labels, learnt from a teacher."""
