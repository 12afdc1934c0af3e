"""Checks that come before anything is loaded, trained or written."""
