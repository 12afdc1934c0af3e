"""A run survives SIGKILL at random moments; the full count is a command in benchmarks/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "robustness"))

from kills import kill_runs


def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    hit, wrong = kill_runs(tmp_path, kills=4, seed=1, exports=False, lives=4)
    assert sum(hit.values()) == 4
    assert wrong == []
