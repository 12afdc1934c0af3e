"""What is checked before anything is loaded, trained or written."""
