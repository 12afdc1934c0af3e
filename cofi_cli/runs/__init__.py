"""The run folder and what lies in it: names, whole writes, records, the machine."""

from cofi_cli.runs.atomic import FULL, FULL_HINT, read_json, write_atomic, write_json, write_text
from cofi_cli.runs.folder import RUNS, RunDir, command_of, recorded
