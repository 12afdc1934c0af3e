"""Several sizes from one run: their folders, which one is chosen, and choosing again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cofi_cli import bench, export
from cofi_cli.architectures import load_dense
from cofi_cli.cli.main import run as command
from cofi_cli.config import RunConfig
from cofi_cli.errors import GATE, USAGE, CofiError
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.sparsity import count_prunable
from cofi_cli.runs import RunDir, read_json, write_json
from cofi_cli.runs.find import find_source
from cofi_cli.runs.records import BenchResult, SizeRow
from cofi_cli.runs.sizes import choose
from cofi_cli.training import Interrupted, prune
from tests.stopping import StopAt, assert_same_weights
from tests.tiny import SHAPE, quick_config

STOPS = (0.3, 0.5, 0.8)


@pytest.fixture(scope="module")
def config(bert_folder: Path, reviews: Path) -> RunConfig:
    return quick_config(bert_folder, reviews, prune={"sparsity": 0.8, "milestones": (0.3, 0.5)})


@pytest.fixture(scope="module")
def finished(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("sizes") / "run")
    prune(config, run)
    return run


def test_each_size_meets_its_target(finished: RunDir) -> None:
    report = read_json(finished.report_json)
    assert [row["name"] for row in report["sizes"]] == ["0.3", "0.5", "0.8"]
    for stop, row in zip(STOPS, report["sizes"]):
        size = finished.size(row["name"])
        model = load_dense(str(size.model), num_labels=2, head="sequence", labels=("0", "1"))
        realised = 1 - count_prunable(model) / SHAPE.prunable
        assert stop - 0.001 <= realised < stop + 0.1
        assert row["sparsity"] == pytest.approx(realised)
        assert PrunePlan(**read_json(size.plan)).sparsity == pytest.approx(realised)
        assert row["standard_error"] >= 0
        assert row["drop"] == pytest.approx(report["teacher"]["score"] - row["score"])
    assert report["standard_error"] == report["sizes"][-1]["standard_error"]
    stages = {json.loads(line)["stage"] for line in finished.metrics.read_text().splitlines()}
    assert {"prune", "recover-0.3", "recover-0.5", "recover-0.8"} <= stages
    assert {f"recover-{stop}" for stop in STOPS} <= set(report["stages"])
    assert not finished.checkpoints.exists()


def test_the_smallest_is_chosen_where_nothing_is_said(finished: RunDir) -> None:
    report = read_json(finished.report_json)
    assert report["chosen"] == {"name": "0.8", "max_drop": None, "missed": None}
    assert_same_weights(finished, finished.size("0.8"))


def test_a_size_is_a_run_of_its_own(finished: RunDir) -> None:
    size = finished.size("0.5")
    source = find_source(size.root)
    assert source.models["model"] == str(size.model)
    assert Path(source.models["dense"]).resolve() == finished.teacher.resolve()
    assert "milestones: []" in size.config.read_text()
    exported = export(size.root, graph="plain").models
    assert exported["model"].score == pytest.approx(read_json(size.report_json)["model"]["score"])
    assert {"model", "dense"} == set(exported) and (size.onnx / "dense.onnx").exists()
    bench(
        [size.root],
        batch=[1],
        seq_len=[8],
        runs=2,
        warmup=1,
        torch=False,
        score=False,
        min_seconds=0,
    )
    assert size.bench.exists() and "## Sizes" in size.report_md.read_text()


def test_a_stopped_run_ends_as_the_others_do(
    config: RunConfig, finished: RunDir, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(Interrupted):
        prune(config, run, progress=StopAt("prune", 30))
    with pytest.raises(Interrupted):
        prune(config, run, resume=True, progress=StopAt("recover-0.5", 9))
    prune(config, run, resume=True)
    for stop in STOPS:
        assert_same_weights(run.size(str(stop)), finished.size(str(stop)))


def test_pick_takes_another_size(
    finished: RunDir, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = RunDir(tmp_path / "run")
    shutil.copytree(finished.root, run.root)
    for place in (run, *(run.size(str(stop)) for stop in STOPS)):
        report = read_json(place.report_json)
        for row, drop in zip(report["sizes"], (0.5, 1.5, 4.0)):
            row["drop"] = drop
        write_json(place.report_json, report)
    run.onnx.mkdir()
    (run.onnx / "model.onnx").write_text("of 0.8")
    assert command(["pick", str(run.root), "--max-drop", "2"]) == 0
    assert_same_weights(run, run.size("0.5"))
    report = read_json(run.report_json)
    assert report["chosen"] == {"name": "0.5", "max_drop": 2.0, "missed": None}
    assert PrunePlan(**read_json(run.plan)) == PrunePlan(**read_json(run.size("0.5").plan))
    assert (run.size("0.8").onnx / "model.onnx").read_text() == "of 0.8" and not run.onnx.exists()
    page = run.report_md.read_text()
    assert "| 0.5 |" in page and "chosen" in page
    assert f"(standard error {report['standard_error']:.2f}) |" in page
    assert command(["pick", str(run.root), "--size", "0.3"]) == 0
    assert_same_weights(run, run.size("0.3"))
    capfd.readouterr()
    assert command(["pick", str(run.root), "--max-drop", "0.1"]) == GATE
    assert "the nearest is 0.3, which loses 0.50, standard error" in capfd.readouterr().err
    assert command(["pick", str(run.root), "--size", "0.4"]) == USAGE
    assert "Unknown size '0.4'" in capfd.readouterr().err


def test_choosing() -> None:
    known = {"score": 90.0, "encoder_params": 1, "sparsity": 0.5}
    drops = (("a", 0.2), ("b", -0.1), ("c", 1.0))
    rows = [SizeRow(name=name, drop=drop, **known) for name, drop in drops]
    assert choose(rows, None).name == choose(rows, 1.0).name == "c"
    assert choose(rows, 0.5).name == choose(rows, 0).name == "b"
    with pytest.raises(CofiError, match=r"No size loses at most -1 points .* nearest is b, which"):
        choose(rows, -1)


def test_all_sizes_make_one_curve(finished: RunDir, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    shutil.copytree(finished.root, run.root)
    assert command(["export", str(run.root), "--all-sizes", "--graph", "plain", "-q"]) == 0
    assert (run.onnx / "dense.onnx").exists() and (run.size("0.3").onnx / "model.onnx").exists()
    assert not (run.size("0.5").onnx / "dense.onnx").exists() and not run.size("0.8").onnx.exists()
    shutil.rmtree(run.size("0.5").onnx)
    short = ("--batch", "1,2", "--seq-len", "8", "--runs", "2", "--warmup", "1", "-q")
    gates = ("--max-drop", "100", "--min-speedup", "0.0001")
    assert command(["bench", str(run.root), "--all-sizes", *short, *gates]) == 0
    result = BenchResult.read(run.bench)
    models = ["dense", "0.8/model", "0.3/model", "0.5/model"]
    assert [row.name for row in result.models] == models
    assert {gate.model for gate in result.gates} == {"0.8/model"}, "the chosen one is judged"
    assert {row.vs for row in result.headline} == {"dense"} and result.curve is not None
    sizes = [(point.size, point.case) for point in result.curve.points]
    assert sizes == [
        (size, case) for case in ("b1-s8", "b2-s8") for size in ("dense", "0.8", "0.3", "0.5")
    ]
    report = run.report_md.read_text()
    assert "![curve](curve.svg)" in report and "| 0.3 | fp32 |" in report
    assert report.count("ONNX, batch 1") == 1, "the summary is of the chosen size"
    assert run.curve.exists() and ">0.5</text>" in run.curve.read_text()
    assert command(["pick", str(run.root), "--size", "0.3"]) == 0
    assert not run.curve.exists(), "what was timed lies elsewhere now"


def test_all_sizes_of_one(capfd: pytest.CaptureFixture[str], finished: RunDir) -> None:
    size = str(finished.size("0.3").root)
    for words in (["bench", size, "--all-sizes"], ["export", size, "--all-sizes"]):
        assert command(words) == USAGE
        assert "has one size only" in capfd.readouterr().err
    assert command(["export", str(finished.root), "--all-sizes", "-o", "x"]) == USAGE
    assert "--output x is one folder" in capfd.readouterr().err
