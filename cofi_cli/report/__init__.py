"""report.md, its tables and pictures, from the JSON files of a run."""
