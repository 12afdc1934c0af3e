"""Score against latency: the curve of a benchmark, its table and its picture."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cofi_cli.benchmarking.curve import curve_of
from cofi_cli.report.ci import summary
from cofi_cli.report.pictures.curve import curve_svg
from cofi_cli.report.pictures.labels import Box, around, place
from cofi_cli.report.pictures.scale import Scale
from cofi_cli.report.tables import curve_table
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import BenchResult, WordVectors
from tests.records import (
    bench_result,
    case_row,
    model_row,
    run_report,
    score_row,
    speedup_row,
)

SCORES = {"dense": 91.0, "0.5/model": 91.5, "0.8/model": 90.0, "0.8/model_int8": 89.5}
TIMES = {"dense": 20.0, "0.5/model": 10.0, "0.8/model": 5.0, "0.8/model_int8": 2.0}


def bench() -> BenchResult:
    precision = {name: "int8" if name.endswith("int8") else "fp32" for name in SCORES}
    of = {name: name.partition("/")[0] if "/" in name else None for name in SCORES}
    return bench_result(
        models=[model_row(n, precision=precision[n], of=of[n]) for n in SCORES],
        cases=[case_row(n, TIMES[n], precision=precision[n]) for n in SCORES],
        speedups=[speedup_row(n, 20.0 / TIMES[n]) for n in SCORES if n != "dense"],
        headline=[],
        scores=[score_row(n, score) for n, score in SCORES.items()],
    )


def test_a_curve_has_every_model_with_a_score(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    words = WordVectors(score=81.5, scores={}, seconds=1.0)
    run_report(baseline=words).write(run.report_json)
    curve = curve_of(bench(), run)
    assert curve is not None and curve.word_vectors == 81.5
    found = [(p.size, p.precision, p.score, p.p50_ms, p.speedup) for p in curve.points]
    assert found == [
        ("dense", "fp32", 91.0, 20.0, None),
        ("0.5", "fp32", 91.5, 10.0, 2.0),
        ("0.8", "fp32", 90.0, 5.0, 4.0),
        ("0.8", "int8", 89.5, 2.0, 10.0),
    ]
    other = run_report(metric="f1", baseline=words)
    other.write(run.report_json)
    assert curve_of(bench(), run).word_vectors is None, "of another metric"  # type: ignore[union-attr]
    two = bench().model_copy(update={"scores": bench().scores[:2]})
    assert curve_of(two, None) is None


def test_its_table_stands_in_the_step_summary() -> None:
    result = bench()
    result = result.model_copy(update={"curve": curve_of(result, None)})
    assert curve_table(result).columns[2:] == ("accuracy", "b1-s128: p50 ms", "speedup")
    assert curve_table(result).rows[3] == ("0.8", "int8", "89.50", "2.00", "10.00x")
    assert "### Score against latency" in summary(result, title="t")
    assert not curve_table(bench()).rows and "Score against" not in summary(bench(), title="t")


def test_a_picture_names_every_point_and_both_bounds() -> None:
    curve = curve_of(bench(), None)
    assert curve is not None
    curve = curve.model_copy(update={"word_vectors": 40.0})
    drawn = curve_svg(curve, title="a < b", chosen="0.8", max_drop=1.0)
    texts = [node.text or "" for node in ElementTree.fromstring(drawn).iter() if node.text]
    assert {"0.5", "0.8", "dense", "batch 1, 128 tokens", "chosen"} <= set(texts)
    assert "1 below dense: 90.0" in texts and "word vectors alone: 40.0, below" in texts
    points = re.findall(r"<polyline points='([^']+)'", drawn)
    assert [len(line.split()) for line in points] == [3, 1], "a line a precision"


def test_labels_hide_neither_points_nor_each_other() -> None:
    places = [(100.0 + 9 * n, 100.0 + 5 * (n % 3), f"0.{n}") for n in range(8)]
    found = place(places, Box(0, 0, 400, 300), size=12)
    boxes = [Box(x - 9, y - 6, x + 9, y + 6) for x, y, _ in found]
    points = [around(x, y) for x, y, _ in places]
    assert all(a.shared(b) == 0 for n, a in enumerate(boxes) for b in boxes[n + 1 :])
    assert all(label.shared(point) == 0 for label in boxes for point in points)
    (corner,) = place([(1.0, 1.0, "dense")], Box(0, 0, 400, 300), size=12)
    assert corner.x > 18 and corner.y > 1, "inside of the picture"


@pytest.mark.parametrize(("low", "high"), [(-0.4, 2.1), (0.6, 0.65), (1.2, 1.5), (2.0, 2.0)])
def test_an_axis_names_round_values(low: float, high: float) -> None:
    scale = Scale.over([low, high], 0, 100)
    for ticks in (list(scale.ticks()), list(scale.log_ticks())):
        assert len(ticks) >= 3 and all(scale.low <= value <= scale.high for value, _ in ticks)
        assert all(a[0] < b[0] and a[1] != b[1] for a, b in pairwise(ticks))
