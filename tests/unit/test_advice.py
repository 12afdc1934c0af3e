"""What a report advises where pruning lost points."""

from __future__ import annotations

from cofi_cli.training.outcome.advice import GENERALISES, advice


def test_a_model_that_follows_on_training_rows_alone_needs_rows() -> None:
    said = advice(lost=4.0, train=99.1, validation=99.1 - GENERALISES - 0.1)
    assert "99.1 %" in said
    assert "--extra" in said


def test_a_model_that_does_not_follow_on_training_rows_needs_time_or_weights() -> None:
    said = advice(lost=4.0, train=85.0, validation=84.0)
    assert "--minutes" in said
    assert "--sparsity" in said
    assert "--extra" not in said
