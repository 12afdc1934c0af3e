"""Score against latency: one curve of all models that have both."""

from __future__ import annotations

from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import DENSE, BenchResult, Curve, CurvePoint, ModelRow, RunReport

LEAST = 3
"""Models that make a curve."""


def curve_of(result: BenchResult, run: RunDir | None) -> Curve | None:
    """Return the curve of a benchmark; ``None`` where fewer than :data:`LEAST` models have scores.

    Args:
        result: with cases, speedups and scores.
        run: the only target, whose report may have the score of word vectors.
    """
    scores = {row.model: row for row in result.scores}
    speedups = {(row.model, row.case): row for row in result.speedups}
    models = {row.name: row for row in result.models if row.name in scores}
    if len(models) < LEAST:
        return None
    points = []
    for case in result.cases:
        if case.model not in models:
            continue
        speedup = speedups.get((case.model, case.case))
        points.append(
            CurvePoint(
                model=case.model,
                size=_name(models[case.model]),
                precision=case.precision,
                case=case.case,
                batch=case.batch,
                seq_len=case.seq_len,
                score=scores[case.model].score,
                p50_ms=case.p50_ms,
                speedup=speedup.ratio if speedup else None,
                interval=speedup.interval if speedup else None,
            )
        )
    first = result.scores[0]
    word_vectors = None if run is None else _word_vectors(run, first.metric)
    return Curve(task=first.task, metric=first.metric, points=points, word_vectors=word_vectors)


def _name(model: ModelRow) -> str:
    if model.size == DENSE:
        return DENSE
    return model.of or model.name.removesuffix(f"_{model.precision}")


def _word_vectors(run: RunDir, metric: str) -> float | None:
    try:
        report = RunReport.read(run.report_json)
    except CofiError:  # whoever draws the report says so
        return None
    return report.baseline.score if report.baseline and report.metric == metric else None
