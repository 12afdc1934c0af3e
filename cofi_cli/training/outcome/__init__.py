"""What a run leaves: its models, their proof and report.json."""
